#include "adder/data/inputs.h"

#include <glob.h>

#include <algorithm>
#include <new>

#include "adder/base/error.h"
#include "adder/io/byte_stream.h"

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

std::vector<fs::path> list_inputs(const std::vector<std::string>& inputs) {
  std::vector<fs::path> files;
  for (const std::string& input : inputs) {
    std::error_code ignored;  // what is wrong with a file, reading it says
    const bool pattern =
        input.find_first_of("*?[") != std::string::npos && !fs::exists(input, ignored);
    for (const std::string& name : pattern ? match(input) : std::vector{input}) {
      if (fs::is_directory(name, ignored)) {
        const auto inside = files_in(name);
        files.insert(files.end(), inside.begin(), inside.end());
      } else {
        files.emplace_back(name);
      }
    }
  }
  return files;
}

}  // namespace adder::data
