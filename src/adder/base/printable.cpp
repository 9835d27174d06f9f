#include "adder/base/printable.h"

#include <cstdint>

namespace adder {
namespace {

/// Bytes of the UTF-8 sequence that `text` begins with; 0 when it begins with none.
std::size_t sequence_bytes(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = lead < 0x80   ? 1
                             : lead < 0xc2 ? 0
                             : lead < 0xe0 ? 2
                             : lead < 0xf0 ? 3
                             : lead < 0xf5 ? 4
                                           : 0;
  if (length > text.size()) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xc0) != 0x80) return 0;
  }
  return length;
}

uint32_t code_point(std::string_view sequence) {
  if (sequence.size() == 1) return static_cast<unsigned char>(sequence[0]);
  uint32_t code = static_cast<unsigned char>(sequence[0]) & (0x7fu >> sequence.size());
  for (const char byte : sequence.substr(1)) {
    code = code << 6 | (static_cast<unsigned char>(byte) & 0x3fu);
  }
  return code;
}

bool steers(uint32_t code) {
  const auto within = [code](uint32_t first, uint32_t last) {
    return code >= first && code <= last;
  };
  return code < 0x20 || within(0x7f, 0x9f) ||                 // controls
         within(0x200e, 0x200f) || within(0x2028, 0x202e) ||  // lines, directions
         within(0x2066, 0x2069) || within(0xd800, 0xdfff) ||
         code == 0x61c;  // directions, surrogates
}

}  // namespace

std::string printable(std::string_view text, std::size_t max_bytes) {
  constexpr std::string_view kNextLine = "\n         ";
  constexpr char kDigits[] = "0123456789abcdef";
  const std::size_t whole = text.size();
  std::string out;
  std::size_t at = 0;
  while (at < whole && at < max_bytes) {
    const std::size_t length = sequence_bytes(text.substr(at));
    const std::string_view sequence = text.substr(at, length == 0 ? 1 : length);
    at += sequence.size();
    if (sequence == "\n") {
      out += kNextLine;
      continue;
    }
    if (length > 0 && !steers(code_point(sequence))) {
      out += sequence;
      continue;
    }
    for (const char byte : sequence) {
      const auto value = static_cast<unsigned char>(byte);
      out += {'\\', 'x', kDigits[value >> 4], kDigits[value & 15]};
    }
  }
  if (at < whole) out += "... (" + std::to_string(whole - at) + " bytes more)";
  return out;
}

}  // namespace adder
