// JSON from outside: bounded in size and depth, no key twice, and getters whose errors name file
// and key: "config.json: hidden_size: expected a positive integer, got \"64\"".
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// Instantiated once, in json.cpp: a fifth of the time that a source reading JSON takes to compile.
extern template class nlohmann::basic_json<nlohmann::ordered_map>;

namespace adder::io {

/// Objects keep the order of the file. A lookup by key walks the object: iterate over large ones.
using Json = nlohmann::ordered_json;

struct JsonLimits {
  int64_t max_bytes = int64_t{128} << 20;
  int max_depth = 128;
};

/// Infinity and -Infinity, which Python writes, are numbers here and in write_json_file; NaN is
/// not. Parses `text`; `where` (a file name) begins every error. Throws kFormat: not JSON, bytes
/// after the value, invalid UTF-8, nested too deep, a key twice in one object.
Json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits = {});

Json read_json_file(const std::filesystem::path& path, const JsonLimits& limits = {});

/// Indented by two, newline at the end, written atomically.
void write_json_file(const std::filesystem::path& path, const Json& value);

/// A value inside a document and the way to it. Borrows the document. Getters throw kFormat.
class JsonView {
 public:
  JsonView(const Json& value, std::string where, std::string key = {});

  const Json& json() const { return *value_; }
  std::string name() const;  // "config.json: rope.scaling[2]"

  /// A member that must be there.
  JsonView at(std::string_view key) const;
  /// A member that may be missing or null.
  std::optional<JsonView> find(std::string_view key) const;
  bool has(std::string_view key) const { return find(key).has_value(); }
  /// The elements of an array.
  std::vector<JsonView> items() const;

  /// An integer in [lowest, highest]; 64.0 and "64" are not integers.
  int64_t as_integer(int64_t lowest = std::numeric_limits<int64_t>::min(),
                     int64_t highest = std::numeric_limits<int64_t>::max()) const;
  int64_t as_positive() const { return as_integer(1); }
  double as_number(bool infinity = false) const;  // finite unless `infinity` is fine
  bool as_bool() const;
  std::string as_string() const;
  std::vector<int64_t> as_integers() const;
  std::vector<std::string> as_strings() const;

  /// Members with a value for when they are missing or null.
  int64_t positive(std::string_view key, int64_t fallback) const;
  int64_t integer(std::string_view key, int64_t fallback) const;
  double number(std::string_view key, double fallback) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::string string(std::string_view key, std::string fallback) const;

  /// "FILE: KEY: expected EXPECTED, got VALUE".
  [[noreturn]] void fail(std::string_view expected) const;

 private:
  const Json* value_;
  std::string where_;
  std::string key_;
};

}  // namespace adder::io
