#include "adder/data/inputs.h"

#include <glob.h>

#include <algorithm>
#include <new>

#include "adder/base/error.h"
#include "adder/data/check_text.h"
#include "adder/io/byte_stream.h"
#include "adder/io/descriptor.h"

namespace adder::data {
namespace {

namespace fs = std::filesystem;

fs::path decoded_name(const fs::path& file) {
  return io::coding_of(file) == io::Coding::kPlain ? file.filename() : file.stem();
}

bool is_text(const fs::path& file) {
  return is_jsonl(file) || decoded_name(file).extension() == ".txt";
}

/// Text files below `folder`, by the bytes of their relative paths.
std::vector<fs::path> files_in(const fs::path& folder) {
  std::vector<fs::path> files;
  try {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file() && is_text(entry.path())) files.push_back(entry.path());
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorKind::kIo, {.what = "cannot list the text folder",
                                 .where = folder.string(),
                                 .why = error.code().message()});
  }
  if (files.empty()) {
    throw Error(ErrorKind::kNotFound,
                {.what = "the text folder holds no text",
                 .where = folder.string(),
                 .why = "there is no .txt or .jsonl file (or .gz, .zst of one) in it or below it"});
  }
  std::ranges::sort(files, {}, [&](const fs::path& file) {
    return file.lexically_relative(folder).generic_string();
  });
  return files;
}

std::vector<std::string> match(const std::string& pattern) {
  glob_t found{};
  const int status = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  if (status == GLOB_NOSPACE) throw std::bad_alloc();
  std::vector<std::string> names(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
  if (names.empty()) {
    throw Error(ErrorKind::kNotFound, {.what = "no file fits the pattern", .where = pattern});
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

bool is_jsonl(const fs::path& file) {
  return decoded_name(file).extension() == ".jsonl";
}

InputFiles find_inputs(const std::vector<std::string>& inputs) {
  InputFiles found;
  const auto add = [&](const fs::path& file, bool named) {
    std::error_code failed;  // what is wrong with a file, reading it says
    const bool empty = fs::is_regular_file(file, failed) && fs::file_size(file, failed) == 0;
    if (empty && named) throw_empty_text(file.string());
    if (empty) ++found.empty;
    if (!empty) found.files.push_back(file);
  };
  for (const std::string& input : inputs) {
    std::error_code ignored;
    const bool pattern =
        input.find_first_of("*?[") != std::string::npos && !fs::exists(input, ignored);
    for (const std::string& name : pattern ? match(input) : std::vector{input}) {
      if (fs::is_directory(name, ignored)) {
        for (const fs::path& file : files_in(name)) add(file, false);
      } else {
        add(name, !pattern);
      }
    }
  }
  if (found.files.empty() && found.empty > 0) throw_empty_text(inputs.front());
  return found;
}

std::vector<fs::path> list_inputs(const std::vector<std::string>& inputs) {
  return find_inputs(inputs).files;
}

int64_t files_size(const std::vector<fs::path>& files) {
  int64_t size = 0;
  for (const fs::path& file : files) size += io::Descriptor::open_regular(file).size();
  return size;
}

}  // namespace adder::data
