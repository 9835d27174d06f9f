#include "adder/text/unicode.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "adder/base/rng.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

std::string form_of(const std::string& text, NormalForm form) {
  std::string buffer;
  return std::string(normal_form(text, form, buffer));
}

/// utf8proc's own normalisation of the whole.
std::string by_utf8proc(const std::string& text, NormalForm form) {
  int options = UTF8PROC_STABLE;
  options |=
      form == NormalForm::kC || form == NormalForm::kKc ? UTF8PROC_COMPOSE : UTF8PROC_DECOMPOSE;
  if (form == NormalForm::kKc || form == NormalForm::kKd) options |= UTF8PROC_COMPAT;
  utf8proc_uint8_t* made = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &made,
                                 static_cast<utf8proc_option_t>(options));
  EXPECT_GE(size, 0);
  const std::string out(reinterpret_cast<const char*>(made), static_cast<size_t>(size));
  std::free(made);
  return out;
}

TEST(Unicode, NormalFormsAreThoseOfUtf8proc) {
  constexpr std::pair<uint32_t, uint32_t> kRanges[] = {
      {0x20, 0x7F},     {0xA0, 0x400},    {0x300, 0x370},   {0x590, 0x600},    {0x900, 0xA00},
      {0x1100, 0x11A7}, {0x11A8, 0x1200}, {0x1E00, 0x2000}, {0x2000, 0x2200},  {0x3040, 0x3100},
      {0xAC00, 0xAD00}, {0xF900, 0xFB50}, {0xFF00, 0xFFE0}, {0x1D15E, 0x1D165}};
  Rng rng(5);
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (int i = 0; i < 30; ++i) {
      const auto [first, end] = kRanges[rng.below(std::size(kRanges))];
      append_code_point(text, first + static_cast<char32_t>(rng.below(end - first)));
    }
    for (const auto form : {NormalForm::kC, NormalForm::kD, NormalForm::kKc, NormalForm::kKd}) {
      ASSERT_EQ(form_of(text, form), by_utf8proc(text, form)) << text;
    }
  }
}

// U+11A7 is no last part of a syllable (Unicode 15, section 3.12, TBase is one less than the
// first).
TEST(Unicode, SyllablesTakeNoFillerForTheirLastPart) {
  const std::string syllable = to_utf8(0xAC00), filler = to_utf8(0x11A7);
  EXPECT_EQ(form_of(syllable + filler, NormalForm::kC), syllable + filler);
  EXPECT_EQ(form_of(to_utf8(0x1100) + to_utf8(0x1161) + filler + "x", NormalForm::kC),
            syllable + filler + "x");
  EXPECT_EQ(form_of(syllable + to_utf8(0x11A8), NormalForm::kKc), to_utf8(0xAC01));
}

// Their definition, character by character.
TEST(Unicode, InertCharactersStandAlone) {
  for (char32_t value = 1; value < 0x110000; ++value) {
    if ((value >= 0xD800 && value < 0xE000) || !is_inert_in_nfc(value)) continue;
    const auto point = static_cast<utf8proc_int32_t>(value);
    ASSERT_EQ(utf8proc_get_property(point)->combining_class, 0) << name_of(value);
    ASSERT_EQ(by_utf8proc(to_utf8(value), NormalForm::kC), to_utf8(value)) << name_of(value);
  }
  for (char32_t value = 1; value < 0x110000; ++value) {  // none ends a composition
    if (value >= 0xD800 && value < 0xE000) continue;
    const std::string text = to_utf8(value), parts = by_utf8proc(text, NormalForm::kD);
    if (parts == text || by_utf8proc(parts, NormalForm::kC) != text) continue;
    bool first = true;
    for_each_code_point(parts, [&](char32_t part, size_t) {
      EXPECT_FALSE(!first && is_inert_in_nfc(part)) << name_of(part) << " in " << name_of(value);
      first = false;
    });
  }
}

TEST(Unicode, LongRunsOfMarksAreSortedQuickly) {
  std::string marks = "e", sorted = "e";
  for (int i = 0; i < 50000; ++i) marks += "\xCC\x81\xCC\x96";  // classes 230 and 220
  for (int i = 0; i < 50000; ++i) sorted += "\xCC\x96";
  for (int i = 0; i < 50000; ++i) sorted += "\xCC\x81";
  EXPECT_EQ(form_of(marks, NormalForm::kD), sorted);
}

}  // namespace
}  // namespace adder::text
