// The files that a user means by a list of files, folders and patterns.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace adder::data {

/// A text file by its name, with or without .gz or .zst: NAME.jsonl has a document a line, any
/// other name is plain text.
bool is_jsonl(const std::filesystem::path& file);

/// `inputs`: files as they are; folders, whose *.txt and *.jsonl (and .gz, .zst of both) are taken
/// recursively, in bytewise order of their relative paths; and patterns with *, ? and [...] as a
/// shell knows them, in bytewise order, where no file has that very name. Throws kNotFound for an
/// input that gives no file, kIo for a folder that cannot be read.
std::vector<std::filesystem::path> list_inputs(const std::vector<std::string>& inputs);

}  // namespace adder::data
