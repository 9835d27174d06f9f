// The files that a user means by a list of files, folders and patterns.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace adder::data {

/// A text file by its name, with or without .gz or .zst: NAME.jsonl has a document a line, any
/// other name is plain text.
bool is_jsonl(const std::filesystem::path& file);

struct InputFiles {
  std::vector<std::filesystem::path> files;
  int64_t empty = 0;  // files of folders and patterns that were passed over
};

/// `inputs`: files as they are; folders, whose *.txt and *.jsonl (and .gz, .zst of both) are taken
/// recursively, in bytewise order of their relative paths; and patterns with *, ? and [...] as a
/// shell knows them, in bytewise order, where no file has that very name. Files of no byte are
/// passed over in folders and patterns. Throws kNotFound for an input that gives no file, kIo for a
/// folder that cannot be read, and kFormat for an empty file that was named itself, or where all
/// files are empty.
InputFiles find_inputs(const std::vector<std::string>& inputs);
std::vector<std::filesystem::path> list_inputs(const std::vector<std::string>& inputs);

/// Bytes of the files themselves: compressed ones as they are. Throws kNotFound or kIo.
int64_t files_size(const std::vector<std::filesystem::path>& files);

}  // namespace adder::data
