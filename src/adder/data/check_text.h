// Whether bytes are text at all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace adder::data {

/// Where a part of a file begins.
struct TextPlace {
  std::string file;
  int64_t line = 1;
  int64_t byte = 0;
};

/// Throws kFormat unless `text` is valid UTF-8 without NUL; the error names "FILE:LINE, byte N" of
/// the first byte that is not.
void check_characters(std::string_view text, const TextPlace& begin);

/// Throws kFormat for the byte order mark of UTF-16 at the beginning of a file.
void check_encoding(std::string_view beginning, const std::string& file);

[[noreturn]] void throw_empty_text(const std::string& file);

}  // namespace adder::data
