#include "adder/text/byte_level.h"

#include <array>

#include "adder/text/utf8.h"

namespace adder::text {
namespace {

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xFF && byte != 0xAD);
}

constexpr int kMoved = 68;

struct Alphabet {
  std::array<char32_t, 256> symbol{};
  std::array<uint8_t, kMoved> moved{};
};

constexpr Alphabet make_alphabet() {
  Alphabet alphabet;
  size_t moved = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const auto at = static_cast<size_t>(byte);
    if (stands_for_itself(byte)) {
      alphabet.symbol[at] = static_cast<char32_t>(byte);
    } else {
      alphabet.symbol[at] = static_cast<char32_t>(0x100 + moved);
      alphabet.moved[moved++] = static_cast<uint8_t>(byte);
    }
  }
  return alphabet;
}

constexpr Alphabet kAlphabet = make_alphabet();

}  // namespace

char32_t byte_level_code_point(uint8_t byte) {
  return kAlphabet.symbol[byte];
}

std::string byte_level_symbol(uint8_t byte) {
  return to_utf8(byte_level_code_point(byte));
}

std::optional<uint8_t> byte_level_byte(char32_t value) {
  if (value < 0x100) {
    if (!stands_for_itself(static_cast<int>(value))) return std::nullopt;
    return static_cast<uint8_t>(value);
  }
  if (value < 0x100 + kMoved) return kAlphabet.moved[value - 0x100];
  return std::nullopt;
}

std::optional<std::string> byte_level_bytes(std::string_view text) {
  std::string bytes;
  bool all = true;
  for_each_code_point(text, [&](char32_t value, size_t) {
    const auto byte = byte_level_byte(value);
    all = all && byte;
    if (byte) bytes.push_back(static_cast<char>(*byte));
  });
  if (!all) return std::nullopt;
  return bytes;
}

}  // namespace adder::text
