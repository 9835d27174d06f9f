// Recipes: a TOML file as a flat list of dotted keys and texts, in the form that base options take.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace adder::io {

struct TomlEntry {
  std::string key;   // "train.lr"
  std::string text;  // "3e-4", "true", a string without its quotes, a list as join_list writes it
  int line = 0;      // from 1
};

/// Entries in the order of the file. Throws kConfig with FILE:LINE for a syntax error, a key twice,
/// a date, an array of tables or of arrays, a quoted key that contains a dot, more than 16 groups
/// within each other.
std::vector<TomlEntry> parse_toml(std::string_view text, const std::string& file);
std::vector<TomlEntry> read_toml(const std::filesystem::path& path);

}  // namespace adder::io
