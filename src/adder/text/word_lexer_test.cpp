// The lexer written by hand against PCRE2.
#include "adder/text/word_lexer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "adder/base/rng.h"
#include "adder/text/pattern.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

// An apostrophe or hyphen joins only behind a letter, so a word's digits stand before a letter or
// at its end.
constexpr std::string_view kPattern =
    "\\p{L}\\p{M}*(?:['\\-\\x{2019}\\x{2010}\\x{2011}]?\\p{L}\\p{M}*|"
    "\\p{Nd}[\\p{Nd}\\p{M}]*\\p{L}\\p{M}*)*(?:\\p{Nd}[\\p{Nd}\\p{M}]*)?|"
    "\\p{Nd}+|\\n{1,2}|[ ]+|[^\\p{L}\\p{Nd}\\n ]";

std::string random_lexemes(uint64_t seed, int64_t size) {
  static const std::u32string kOften =
      U"ab'-'-aZ  \n\n12.\u2019\u2010\u0301\u00E9\u4E2D\u0663\u00BD_\t\u00A0";
  Rng rng(seed);
  std::string text;
  for (int64_t i = 0; i < size; ++i) {
    append_code_point(text, rng.below(20) == 0 ? static_cast<char32_t>(rng.below(0xD800))
                                               : kOften[rng.below(kOften.size())]);
  }
  return text;
}

TEST(WordLexer, CutsAsThePatternDoes) {
  const Pattern pattern(kPattern, "test");
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    const std::string text = random_lexemes(seed, 400);
    size_t at = 0;
    pattern.for_each_match(text, [&](size_t begin, size_t end) {
      if (HasFatalFailure() || at != begin) return;
      const size_t ours = begin + next_lexeme(text, begin).size;
      EXPECT_EQ(ours, end) << "seed " << seed << ", byte " << begin << ": "
                           << text.substr(begin, end - begin);
      at = end;
    });
    ASSERT_EQ(at, text.size());
  }
}

TEST(WordLexer, NamesTheKinds) {
  const std::string text = "a1-b 12\n\n\n.";
  std::vector<std::pair<LexKind, std::string>> found;
  for (size_t at = 0; at < text.size();) {
    const Lexeme lexeme = next_lexeme(text, at);
    found.emplace_back(lexeme.kind, text.substr(at, lexeme.size));
    at += lexeme.size;
  }
  const std::vector<std::pair<LexKind, std::string>> expected = {
      {LexKind::kWord, "a1"},    {LexKind::kOther, "-"},   {LexKind::kWord, "b"},
      {LexKind::kSpaces, " "},   {LexKind::kNumber, "12"}, {LexKind::kNewline, "\n\n"},
      {LexKind::kNewline, "\n"}, {LexKind::kOther, "."}};
  EXPECT_EQ(found, expected);
}

}  // namespace
}  // namespace adder::text
