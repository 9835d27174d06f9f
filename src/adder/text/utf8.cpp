#include "adder/text/utf8.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <cstring>

#include "adder/base/error.h"

namespace adder::text {
namespace {

constexpr bool is_continuation(unsigned char byte) {
  return (byte & 0xC0) == 0x80;
}

// Table 3-7 of the Unicode standard: how long a sequence is, and what its second byte may be.
struct Lead {
  int length;  // 0: no sequence begins with this byte
  unsigned char low, high;
};

constexpr Lead lead_of(unsigned char byte) {
  if (byte < 0x80) return {1, 0, 0};
  if (byte < 0xC2) return {0, 0, 0};
  if (byte < 0xE0) return {2, 0x80, 0xBF};
  if (byte == 0xE0) return {3, 0xA0, 0xBF};
  if (byte == 0xED) return {3, 0x80, 0x9F};
  if (byte < 0xF0) return {3, 0x80, 0xBF};
  if (byte == 0xF0) return {4, 0x90, 0xBF};
  if (byte < 0xF4) return {4, 0x80, 0xBF};
  if (byte == 0xF4) return {4, 0x80, 0x8F};
  return {0, 0, 0};
}

}  // namespace

Utf8Step read_utf8(std::string_view text, size_t offset) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(text[offset + i]); };
  const size_t left = text.size() - offset;
  const Lead lead = lead_of(at(0));
  if (lead.length == 0) return {};
  if (lead.length == 1) return {.value = at(0), .length = 1, .valid = true};
  char32_t value = at(0) & (0x7Fu >> lead.length);
  for (int i = 1; i < lead.length; ++i) {
    if (static_cast<size_t>(i) == left) return {.length = i, .incomplete = true};
    const unsigned char byte = at(static_cast<size_t>(i));
    const bool fits = i == 1 ? byte >= lead.low && byte <= lead.high : is_continuation(byte);
    if (!fits) return {.length = i};
    value = (value << 6) | (byte & 0x3Fu);
  }
  return {.value = value, .length = lead.length, .valid = true};
}

void append_code_point(std::string& out, char32_t value) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (value < 0x80) {
    put(value);
  } else if (value < 0x800) {
    put(0xC0 | (value >> 6));
    put(0x80 | (value & 0x3F));
  } else if (value < 0x10000) {
    if (value >= 0xD800 && value < 0xE000) {
      throw Error(ErrorKind::kInternal, {.what = "a surrogate cannot be written as UTF-8"});
    }
    put(0xE0 | (value >> 12));
    put(0x80 | ((value >> 6) & 0x3F));
    put(0x80 | (value & 0x3F));
  } else if (value < 0x110000) {
    put(0xF0 | (value >> 18));
    put(0x80 | ((value >> 12) & 0x3F));
    put(0x80 | ((value >> 6) & 0x3F));
    put(0x80 | (value & 0x3F));
  } else {
    throw Error(ErrorKind::kInternal, {.what = "a value above U+10FFFF is no character"});
  }
}

std::string to_utf8(char32_t value) {
  std::string out;
  append_code_point(out, value);
  return out;
}

size_t valid_utf8_prefix(std::string_view text) {
  size_t offset = 0;
  while (offset < text.size()) {
    uint64_t word;  // eight ASCII bytes at once
    while (offset + 8 <= text.size()) {
      std::memcpy(&word, text.data() + offset, 8);
      if ((word & 0x8080808080808080u) != 0) break;
      offset += 8;
    }
    if (offset == text.size()) break;
    const Utf8Step step = read_utf8(text, offset);
    if (!step.valid) break;
    offset += static_cast<size_t>(step.length);
  }
  return offset;
}

size_t code_point_boundary(std::string_view text, size_t limit) {
  if (limit >= text.size()) return text.size();
  size_t cut = limit;
  while (cut > 0 && limit - cut < 3 && is_continuation(static_cast<unsigned char>(text[cut]))) {
    --cut;
  }
  if (cut > 0) return cut;
  while (cut < text.size() &&
         (cut == 0 || is_continuation(static_cast<unsigned char>(text[cut])))) {
    ++cut;
  }
  return cut;
}

std::string name_of(char32_t value) {
  const bool shown = value >= 0x20 && value <= 0x10FFFF && (value < 0xD800 || value >= 0xE000) &&
                     utf8proc_charwidth(static_cast<utf8proc_int32_t>(value)) > 0;
  const auto number = static_cast<uint32_t>(value);
  if (!shown) return fmt::format("U+{:04X}", number);
  return fmt::format("U+{:04X} '{}'", number, to_utf8(value));
}

void throw_ill_formed(std::string_view text, size_t offset) {
  const Utf8Step step = read_utf8(text, offset);
  std::string bytes;
  for (int i = 0; i < step.length; ++i) {
    const auto byte = static_cast<unsigned char>(text[offset + static_cast<size_t>(i)]);
    bytes += fmt::format("{}{:02X}", i == 0 ? "" : " ", byte);
  }
  throw Error(ErrorKind::kFormat,
              {.what = "the text is not valid UTF-8",
               .where = fmt::format("byte {}", offset),
               .why = fmt::format("no character is written with the bytes {}", bytes),
               .next = "convert the text to UTF-8 (with iconv, say)"});
}

}  // namespace adder::text
