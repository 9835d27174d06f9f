#include "adder/text/word_characters.h"

#include <utf8proc.h>

#include <array>
#include <cstddef>
#include <string_view>

namespace adder::text {
namespace {

constexpr char32_t kCommon = 0x3000;  // the common characters, found at once

bool in(std::u32string_view list, char32_t value) {
  return list.find(value) != std::u32string_view::npos;
}

Spacing punctuation(char32_t value, Spacing otherwise) {
  if (in(U".,;:!?%\u2026", value)) return Spacing::kClosing;
  if (in(U"\"'*_", value)) return Spacing::kQuote;
  if (in(U"#@\u00A1\u00BF", value)) return Spacing::kOpening;
  if (in(U"/\\", value)) return Spacing::kTight;
  return otherwise;
}

WordCharacter from_category(char32_t value) {
  if (value == U' ') return {WordPart::kSpace, Spacing::kBlank};
  if (value == U'\n') return {WordPart::kNewline, Spacing::kBlank};
  const WordPart part = in(U"'-\u2019\u2010\u2011", value) ? WordPart::kJoint : WordPart::kOther;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(value))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return {WordPart::kLetter, Spacing::kSpelled};
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
      return {WordPart::kMark, Spacing::kSpelled};
    case UTF8PROC_CATEGORY_ND:
      return {WordPart::kDigit, Spacing::kSpelled};
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_CC:
      return {part, Spacing::kBlank};
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_SC:
      return {part, value < kCommon ? Spacing::kOpening : Spacing::kTight};
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PF:
      return {part, value < kCommon ? Spacing::kClosing : Spacing::kTight};
    case UTF8PROC_CATEGORY_PO:  // scripts that write such signs wide put no spaces
      return {part, punctuation(value, value < kCommon ? Spacing::kWord : Spacing::kTight)};
    case UTF8PROC_CATEGORY_SK:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SO:
      return {part, Spacing::kWord};
    default:
      return {part, punctuation(value, Spacing::kTight)};
  }
}

}  // namespace

WordCharacter word_character(char32_t value) {
  static const auto table = [] {
    std::array<WordCharacter, kCommon> made{};
    for (char32_t at = 0; at < kCommon; ++at) made[at] = from_category(at);
    return made;
  }();
  return value < kCommon ? table[value] : from_category(value);
}

}  // namespace adder::text
