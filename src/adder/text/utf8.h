// UTF-8: validation, decoding and encoding of code points (RFC 3629: no overlong forms, no
// surrogates, nothing above U+10FFFF).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace adder::text {

/// What stands at one place of a text.
struct Utf8Step {
  char32_t value = 0xFFFD;  // the code point; U+FFFD when not valid
  int length = 1;           // bytes: of the sequence, or of the maximal ill-formed part (1 to 3)
  bool valid = false;
  bool incomplete = false;  // not valid, but more bytes after the end of the text could make it so
};

/// Reads at byte `offset` < text.size(). Ill-formed parts are cut as Unicode 15, section 3.9
/// advises.
Utf8Step read_utf8(std::string_view text, size_t offset);

/// Appends `value` as UTF-8. Surrogates and values above U+10FFFF throw kInternal.
void append_code_point(std::string& out, char32_t value);
std::string to_utf8(char32_t value);

/// Bytes of the longest prefix that is valid UTF-8; text.size() when all of it is.
size_t valid_utf8_prefix(std::string_view text);
inline bool is_valid_utf8(std::string_view text) {
  return valid_utf8_prefix(text) == text.size();
}

/// Calls visit(code_point, byte_offset) for each character. Throws kFormat at the first ill-formed
/// byte, with its offset.
template <typename Visit>
void for_each_code_point(std::string_view text, Visit visit);

/// The largest position <= limit that is not inside a sequence; where that is 0, the smallest after
/// it.
size_t code_point_boundary(std::string_view text, size_t limit);

/// "U+00E9 'é'" or, for what cannot be shown, "U+0000": how messages name a character.
std::string name_of(char32_t value);

// ------------------------------------------------------------------------------------------------

[[noreturn]] void throw_ill_formed(std::string_view text, size_t offset);

template <typename Visit>
void for_each_code_point(std::string_view text, Visit visit) {
  for (size_t offset = 0; offset < text.size();) {
    const auto byte = static_cast<unsigned char>(text[offset]);
    if (byte < 0x80) {
      visit(char32_t{byte}, offset++);
      continue;
    }
    const Utf8Step step = read_utf8(text, offset);
    if (!step.valid) throw_ill_formed(text, offset);
    visit(step.value, offset);
    offset += static_cast<size_t>(step.length);
  }
}

}  // namespace adder::text
