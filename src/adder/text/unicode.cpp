#include "adder/text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "adder/base/error.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

struct Range {
  char32_t first, last;
};

// Letters and numbers of Unicode 15.1 and 16, by which the reference library goes; a utf8proc of
// these versions or later knows them itself.
constexpr Range kNewLetters[] = {
    {0x1C89, 0x1C8A},   {0xA7CB, 0xA7CD},   {0xA7DA, 0xA7DC},   {0x105C0, 0x105F3},
    {0x10D4A, 0x10D65}, {0x10D6F, 0x10D85}, {0x10EC2, 0x10EC4}, {0x11380, 0x11389},
    {0x1138B, 0x1138B}, {0x1138E, 0x1138E}, {0x11390, 0x113B5}, {0x113B7, 0x113B7},
    {0x113D1, 0x113D1}, {0x113D3, 0x113D3}, {0x11BC0, 0x11BE0}, {0x13460, 0x143FA},
    {0x16100, 0x1611D}, {0x16D40, 0x16D6C}, {0x18CFF, 0x18CFF}, {0x1E5D0, 0x1E5ED},
    {0x1E5F0, 0x1E5F0}, {0x2EBF0, 0x2EE5D}};
constexpr Range kNewNumbers[] = {{0x10D40, 0x10D49}, {0x116D0, 0x116E3}, {0x11BF0, 0x11BF9},
                                 {0x16130, 0x16139}, {0x16D70, 0x16D79}, {0x1CCF0, 0x1CCF9},
                                 {0x1E5F1, 0x1E5FA}};

/// `ranges` in ascending order.
bool in(std::span<const Range> ranges, char32_t value) {
  const auto found = std::ranges::lower_bound(ranges, value, {}, &Range::last);
  return found != ranges.end() && value >= found->first;
}

CharClass class_from_category(char32_t value) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(value))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::kLetter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::kNumber;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharClass::kSpace;
    case UTF8PROC_CATEGORY_CN:
      if (in(kNewLetters, value)) return CharClass::kLetter;
      return in(kNewNumbers, value) ? CharClass::kNumber : CharClass::kOther;
    default:
      return value == 0x85 || (value >= 9 && value <= 13) ? CharClass::kSpace : CharClass::kOther;
  }
}

// The common characters at once.
constexpr std::size_t kTable = 0x3000;
const std::array<CharClass, kTable>& class_table() {
  static const std::array<CharClass, kTable> table = [] {
    std::array<CharClass, kTable> made{};
    for (char32_t value = 0; value < kTable; ++value) made[value] = class_from_category(value);
    return made;
  }();
  return table;
}

// Starters that no character before them joins and that decompose to nothing else or come back.
constexpr Range kInert[] = {
    {0x0000, 0x02FF},   {0x0400, 0x0482},  {0x0531, 0x0556}, {0x05D0, 0x05EA}, {0x2002, 0x20CF},
    {0x2190, 0x2328},   {0x2460, 0x2ADB},  {0x2E80, 0x3029}, {0x3041, 0x3096}, {0x30A1, 0x30FA},
    {0x3400, 0x4DBF},   {0x4E00, 0x9FFF},  {0xAC00, 0xD7A3}, {0xE000, 0xF8FF}, {0xFF01, 0xFFEF},
    {0x1F000, 0x1FAFF}, {0x20000, 0x2A6DF}};

void decompose(std::string_view text, NormalForm form, std::vector<utf8proc_int32_t>& out) {
  const bool compatible = form == NormalForm::kKc || form == NormalForm::kKd;
  const auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                      (compatible ? UTF8PROC_COMPAT : 0));
  for_each_code_point(text, [&](char32_t value, size_t) {
    std::array<utf8proc_int32_t, 32> parts;  // the longest decomposition is of 18
    const auto count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(value), parts.data(),
                                               parts.size(), options, nullptr);
    if (count < 0 || count > static_cast<utf8proc_ssize_t>(parts.size())) {
      throw Error(ErrorKind::kInternal, {.what = "a character does not decompose"});
    }
    out.insert(out.end(), parts.begin(), parts.begin() + count);
  });
}

// The canonical order, by a sort in each run of marks: utf8proc's own is quadratic in their number.
void sort_marks(std::vector<utf8proc_int32_t>& values) {
  const auto rank = [](utf8proc_int32_t value) {
    return utf8proc_get_property(value)->combining_class;
  };
  for (auto at = values.begin(); at != values.end();) {
    if (rank(*at) == 0) {
      ++at;
      continue;
    }
    const auto end = std::find_if(at, values.end(), [&](auto value) { return rank(value) == 0; });
    std::stable_sort(at, end, [&](auto a, auto b) { return rank(a) < rank(b); });
    at = end;
  }
}

// In pieces that begin with U+11A7: utf8proc takes it for the last part of a Hangul syllable, but
// those begin behind it (Unicode 15, section 3.12), and it joins nothing.
void compose(std::vector<utf8proc_int32_t>& values) {
  constexpr utf8proc_int32_t kNoLastPart = 0x11A7;
  constexpr auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE);
  auto kept = values.begin();
  for (auto begin = values.begin(); begin != values.end();) {
    const auto end = std::find(begin + 1, values.end(), kNoLastPart);
    const auto size = utf8proc_normalize_utf32(&*begin, end - begin, options);
    kept = std::copy(begin, begin + size, kept);
    begin = end;
  }
  values.erase(kept, values.end());
}

void append_form(std::string_view text, NormalForm form, std::string& out) {
  std::vector<utf8proc_int32_t> values;
  values.reserve(text.size());
  decompose(text, form, values);
  sort_marks(values);
  if (form == NormalForm::kC || form == NormalForm::kKc) compose(values);
  for (const utf8proc_int32_t value : values) {
    append_code_point(out, static_cast<char32_t>(value));
  }
}

size_t ascii_prefix(std::string_view text, size_t from) {
  while (from < text.size() && static_cast<unsigned char>(text[from]) < 0x80) ++from;
  return from;
}

/// The first character at or after `from` that is not inert; `inert` is where the last inert one
/// before it begins (or `from`).
size_t skip_inert(std::string_view text, size_t from, size_t& inert) {
  inert = from;
  while (from < text.size()) {
    const size_t ascii = ascii_prefix(text, from);
    if (ascii != from) inert = ascii - 1;
    if (ascii == text.size()) return ascii;
    const Utf8Step step = read_utf8(text, ascii);
    if (!is_inert_in_nfc(step.value)) return ascii;
    inert = ascii;
    from = ascii + static_cast<size_t>(step.length);
  }
  return from;
}

size_t next_inert(std::string_view text, size_t from) {
  while (from < text.size()) {
    const Utf8Step step = read_utf8(text, from);
    if (is_inert_in_nfc(step.value)) break;
    from += static_cast<size_t>(step.length);
  }
  return from;
}

/// NFC of what lies between inert characters; the rest is copied.
std::string_view to_nfc(std::string_view text, std::string& buffer) {
  size_t inert = 0;
  size_t at = skip_inert(text, 0, inert);
  if (at == text.size()) return text;
  buffer.clear();
  buffer.reserve(text.size());
  for (size_t done = 0; done < text.size();) {
    buffer += text.substr(done, inert - done);
    if (at == text.size()) {
      buffer += text.substr(inert);
      break;
    }
    done = next_inert(text, at);
    append_form(text.substr(inert, done - inert), NormalForm::kC, buffer);
    at = skip_inert(text, done, inert);
  }
  return buffer;
}

}  // namespace

CharClass class_of(char32_t value) {
  return value < kTable ? class_table()[value] : class_from_category(value);
}

bool is_word_character(char32_t value) {
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(value))) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return class_of(value) == CharClass::kLetter;
  }
}

bool is_inert_in_nfc(char32_t value) {
  return in(kInert, value);
}

std::string_view normal_form(std::string_view text, NormalForm form, std::string& buffer) {
  if (form == NormalForm::kC) return to_nfc(text, buffer);
  if (ascii_prefix(text, 0) == text.size()) return text;
  buffer.clear();
  append_form(text, form, buffer);
  return buffer;
}

}  // namespace adder::text
