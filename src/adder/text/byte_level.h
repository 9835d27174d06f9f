// The alphabet of byte-level tokenizers (GPT-2, `bytes_to_unicode`): each byte as one visible
// character.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace adder::text {

/// Printable ASCII and Latin-1 stand for themselves; the 68 others become U+0100, U+0101, ... in
/// order.
char32_t byte_level_code_point(uint8_t byte);
std::string byte_level_symbol(uint8_t byte);

/// The bytes that the characters of `text` stand for; none when one is not of the alphabet.
std::optional<std::string> byte_level_bytes(std::string_view text);

/// The byte that a character of the alphabet stands for.
std::optional<uint8_t> byte_level_byte(char32_t value);

}  // namespace adder::text
