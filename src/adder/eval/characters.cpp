#include "adder/eval/characters.h"

#include "adder/text/utf8.h"

namespace adder::eval {
namespace {

/// str.isspace() of Python: separators, and the controls that are bidirectionally white space.
bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
         c == 0x205f || c == 0x3000;
}

}  // namespace

int64_t character_count(std::string_view text) {
  int64_t count = 0;
  text::for_each_code_point(text, [&](char32_t, size_t) { ++count; });
  return count;
}

std::string_view without_trailing_space(std::string_view text) {
  size_t end = 0;
  text::for_each_code_point(text, [&](char32_t c, size_t offset) {
    if (!is_space(c)) end = offset + text::to_utf8(c).size();
  });
  return text.substr(0, end);
}

}  // namespace adder::eval
