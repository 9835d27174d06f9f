// The scanners written by hand against PCRE2 with the same pattern.
#include "adder/text/word_scanner.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "adder/base/rng.h"
#include "adder/io/file.h"
#include "adder/text/pattern.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

constexpr std::string_view kPatterns[] = {
    kGpt2Pattern,
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"};

void expect_same_words(std::string_view text) {
  for (const std::string_view pattern : kPatterns) {
    const auto scanner = scanner_of(pattern);
    ASSERT_TRUE(scanner) << pattern;
    size_t at = 0;
    int wrong = 0;
    Pattern(pattern, "test").for_each_match(text, [&](size_t begin, size_t end) {
      if (wrong > 0) return;
      const size_t ours = at == begin ? (*scanner)(text, at) : 0;
      if (ours != end) {
        ++wrong;
        ADD_FAILURE() << pattern << " at byte " << begin << ": "
                      << text.substr(begin, std::min<size_t>(end - begin, 80)) << ", ours ends at "
                      << ours;
      }
      at = end;
    });
    EXPECT_EQ(at, text.size());
  }
}

/// Mostly what the patterns look at, and now and then any character at all.
std::string random_unicode(uint64_t seed, int64_t characters) {
  constexpr std::string_view kPicked[] = {" ",
                                          "  ",
                                          "\n",
                                          "\r",
                                          "\t",
                                          "'",
                                          "s",
                                          "S",
                                          "ll",
                                          "Ve",
                                          "re",
                                          "D",
                                          "x",
                                          "1",
                                          "23",
                                          ".",
                                          "!?",
                                          "\xC2\xA0",
                                          "\xC5\xBF",
                                          "\xE2\x80\x99",
                                          "\xE3\x80\x80",
                                          "\xCC\x81",
                                          "\xC2\xB2",
                                          "\xC2\x85",
                                          "\xE1\xA0\x8E",
                                          "\x1C"};
  Rng rng(seed);
  std::string text;
  for (int64_t i = 0; i < characters; ++i) {
    if (rng.below(4) != 0) {
      text += kPicked[rng.below(std::size(kPicked))];
      continue;
    }
    // Ranges in which PCRE2 of any version knows the same letters.
    constexpr std::pair<uint32_t, uint32_t> kOld[] = {
        {0, 0x1C80}, {0x1F00, 0x2C00}, {0x3000, 0x4DB0}, {0xAC00, 0xD7A0}, {0x1F300, 0x1F700}};
    const auto [first, end] = kOld[rng.below(std::size(kOld))];
    append_code_point(text, first + static_cast<char32_t>(rng.below(end - first)));
  }
  return text;
}

TEST(WordScanner, CutsRandomTextAsPcre2Does) {
  for (uint64_t seed = 0; seed < 300; ++seed) expect_same_words(random_unicode(seed, 300));
}

TEST(WordScanner, CutsTheNovelsAsPcre2Does) {
  const char* folder = std::getenv("ADDER_TEST_DATA");
  if (folder == nullptr || *folder == '\0') GTEST_SKIP() << "ADDER_TEST_DATA is not set";
  for (const auto& entry :
       std::filesystem::directory_iterator(std::filesystem::path(folder) / "books")) {
    expect_same_words(io::read_file(entry.path(), 1 << 24));
  }
}

TEST(WordScanner, OtherPatternsAreLeftToPcre2) {
  EXPECT_FALSE(scanner_of("\\p{L}+"));
}

}  // namespace
}  // namespace adder::text
