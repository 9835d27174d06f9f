#include "adder/data/corpus.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"
#include "adder/io/hash.h"
#include "adder/text/utf8.h"

namespace adder::data {
namespace {

namespace fs = std::filesystem;

/// Files up to this size are read, larger ones mapped: a folder may hold more small files than a
/// process may keep open.
constexpr int64_t kReadBytes = int64_t{1} << 20;

std::string_view text_of(const io::MappedFile& file) {
  const auto bytes = file.bytes();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// *.txt below `folder`, by the bytes of their relative paths.
std::vector<fs::path> text_files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file() && entry.path().extension() == ".txt")
      files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end(), [&](const fs::path& a, const fs::path& b) {
    return a.lexically_relative(folder).generic_string() <
           b.lexically_relative(folder).generic_string();
  });
  return files;
}

}  // namespace

std::vector<fs::path> list_text_files(const std::vector<fs::path>& paths) {
  std::vector<fs::path> files;
  for (const fs::path& path : paths) {
    std::error_code ignored;
    if (!fs::is_directory(path, ignored)) {
      files.push_back(path);
      continue;
    }
    std::vector<fs::path> inside;
    try {
      inside = text_files_in(path);
    } catch (const fs::filesystem_error& error) {
      throw Error(ErrorKind::kIo, {.what = "cannot list the text folder",
                                   .where = path.string(),
                                   .why = error.code().message()});
    }
    if (inside.empty()) {
      throw Error(ErrorKind::kNotFound, {.what = "the text folder holds no text",
                                         .where = path.string(),
                                         .why = "there is no .txt file in it or below it"});
    }
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

void check_text(std::string_view text, const std::string& name) {
  if (text.empty()) {
    throw Error(ErrorKind::kFormat, {.what = "the text file is empty",
                                     .where = name,
                                     .why = "there is nothing to learn from",
                                     .next = "give a file with text in it"});
  }
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    throw Error(ErrorKind::kFormat, {.what = "the file is binary, not text",
                                     .where = fmt::format("{}, byte {}", name, nul),
                                     .why = "a NUL byte stands there",
                                     .next = "give a text file in UTF-8 (UTF-16 has NUL bytes: "
                                             "convert it, with iconv, say)"});
  }
  const size_t valid = text::valid_utf8_prefix(text);
  if (valid == text.size()) return;
  const auto line =
      1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(valid), '\n');
  try {
    text::throw_ill_formed(text, valid);
  } catch (const Error& error) {
    throw error.within(fmt::format("{}, line {}", name, line));
  }
}

void cut_documents(std::string_view text, std::string_view separator,
                   std::vector<std::string_view>& documents) {
  if (separator.empty()) {
    documents.push_back(text);
    return;
  }
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    if (end > begin) documents.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
}

Corpus Corpus::open(const std::vector<fs::path>& paths, std::string_view separator) {
  Corpus corpus;
  for (const fs::path& path : list_text_files(paths)) {
    std::error_code ignored;  // what is wrong with the file, reading it says
    const bool large = fs::file_size(path, ignored) > uint64_t{kReadBytes} && !ignored;
    if (large) {
      corpus.files_.emplace_back(path);
    } else {
      corpus.texts_.push_back(io::read_file(path, kReadBytes));
    }
    const std::string_view text = large ? text_of(corpus.files_.back()) : corpus.texts_.back();
    check_text(text, path.string());
    cut_documents(text, separator, corpus.documents_);
  }
  if (corpus.documents_.empty()) {
    throw Error(ErrorKind::kFormat,
                {.what = "the text holds no document",
                 .where = paths.empty() ? "" : paths.front().string(),
                 .why = paths.empty() ? "no file was named" : "there are separators in it only"});
  }
  return corpus;
}

int64_t Corpus::bytes() const {
  int64_t bytes = 0;
  for (const std::string_view document : documents_) bytes += static_cast<int64_t>(document.size());
  return bytes;
}

std::string Corpus::hash() const {
  io::Hash128 hash;
  for (const std::string_view document : documents_) {
    const uint64_t size = document.size();
    hash.add(std::as_bytes(std::span(&size, 1)));
    hash.add(io::as_bytes(document));
  }
  return hash.hex();
}

}  // namespace adder::data
