#include "adder/text/utf8.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"
#include "adder/base/rng.h"
#include "adder/text/stream_decoder.h"

namespace adder::text {
namespace {

constexpr const char* kReplacement = "\xEF\xBF\xBD";

TEST(Utf8, EveryCodePointGoesThroughAndBack) {
  for (char32_t value = 0; value < 0x110000; ++value) {
    if (value >= 0xD800 && value < 0xE000) continue;
    const std::string bytes = to_utf8(value);
    const Utf8Step step = read_utf8(bytes, 0);
    ASSERT_TRUE(step.valid) << static_cast<uint32_t>(value);
    ASSERT_EQ(step.value, value);
    ASSERT_EQ(static_cast<size_t>(step.length), bytes.size());
  }
}

TEST(Utf8, IllFormedBytesAreRefused) {
  const char* bad[] = {"\x80",
                       "\xBF",
                       "\xC0\x80",
                       "\xC1\xBF",
                       "\xE0\x80\x80",
                       "\xE0\x9F\xBF",
                       "\xED\xA0\x80",
                       "\xED\xBF\xBF",
                       "\xFE",
                       "\xFF",
                       "\xF0\x80\x80\x80",
                       "\xF4\x90\x80\x80",
                       "\xF5\x80\x80\x80",
                       "\xC3(",
                       "\xE2\x82",
                       "\xF0\x9F\x98"};
  for (const char* text : bad) {
    EXPECT_EQ(valid_utf8_prefix(text), 0u) << testing::PrintToString(text);
    EXPECT_EQ(valid_utf8_prefix(std::string("eight or more ") + text), 14u);
    EXPECT_THROW(for_each_code_point(text, [](char32_t, size_t) {}), Error);
  }
  EXPECT_TRUE(is_valid_utf8(std::string("a\0b", 3)));
  EXPECT_TRUE(is_valid_utf8(""));
}

TEST(Utf8, BoundariesAreNotInsideCharacters) {
  const std::string text = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80";  // a é € 😀: at 0 1 3 6, end 10
  const size_t expected[] = {1, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
  for (size_t limit = 1; limit < 12; ++limit) {
    EXPECT_EQ(code_point_boundary(text, limit), expected[limit]) << limit;
  }
  EXPECT_EQ(code_point_boundary("\xE2\x82\xAC!", 1), 3u);
}

TEST(Utf8, NamesSayWhatTheyCan) {
  EXPECT_EQ(name_of(0xE9), "U+00E9 '\xC3\xA9'");
  EXPECT_EQ(name_of(0), "U+0000");
  EXPECT_EQ(name_of(0x1F600), "U+1F600 '\xF0\x9F\x98\x80'");
}

std::string decoded_at_once(std::string_view bytes) {
  StreamDecoder decoder;
  std::string text = decoder.feed(bytes);
  return text += decoder.flush();
}

// The example of the Unicode standard, section 3.9, table 3-8 ("best practice for U+FFFD").
TEST(StreamDecoder, ReplacesMaximalSubparts) {
  const std::string bytes = "\x61\xF1\x80\x80\xE1\x80\xC2\x62\x80\x63\x80\xBF\x64";
  const std::string r = kReplacement;
  const std::string expected = "a" + r + r + r + "b" + r + "c" + r + r + "d";
  EXPECT_EQ(decoded_at_once(bytes), expected);
  StreamDecoder single;
  std::string joined;
  for (const char byte : bytes) joined += single.feed({&byte, 1});
  EXPECT_EQ(joined + single.flush(), expected);
}

TEST(StreamDecoder, HoldsBackIncompleteCharacters) {
  StreamDecoder decoder;
  EXPECT_EQ(decoder.feed("x\xF0"), "x");
  EXPECT_EQ(decoder.feed("\x9F"), "");
  EXPECT_EQ(decoder.feed("\x98"), "");
  EXPECT_EQ(decoder.feed("\x80!"), "\xF0\x9F\x98\x80!");
  EXPECT_EQ(decoder.feed("\xE2\x82"), "");
  EXPECT_EQ(decoder.flush(), kReplacement);
  EXPECT_EQ(decoder.flush(), "");
}

TEST(StreamDecoder, AnyCutsOfRandomBytesGiveTheSameValidText) {
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    std::string bytes;
    for (int i = 0; i < 60; ++i) {
      // half of them lead and continuation bytes, so that long sequences happen
      const auto high = rng.below(2) == 0 ? rng.below(256) : 0x80 + rng.below(0x80);
      bytes.push_back(static_cast<char>(high));
    }
    const std::string expected = decoded_at_once(bytes);
    EXPECT_TRUE(is_valid_utf8(expected));
    StreamDecoder pieces;
    std::string joined;
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = static_cast<size_t>(rng.below(5));
      const std::string part = pieces.feed(std::string_view(bytes).substr(at, size));
      EXPECT_TRUE(is_valid_utf8(part));
      joined += part;
      at += size;
    }
    EXPECT_EQ(joined + pieces.flush(), expected);
  }
}

}  // namespace
}  // namespace adder::text
