#include "adder/data/piece_encoder.h"

#include <gtest/gtest.h>

#include <memory>

#include "adder/base/error.h"
#include "adder/base/rng.h"
#include "adder/data/generate/stories.h"
#include "adder/text/bpe_trainer.h"
#include "adder/text/byte_tokenizer.h"
#include "adder/text/char_tokenizer.h"
#include "adder/text/utf8.h"
#include "adder/text/word_counter.h"
#include "adder/text/word_tokenizer.h"

namespace adder::data {
namespace {

/// Stories with what patterns trip over: runs of spaces and line ends, long words, many bytes.
std::string hostile_text() {
  std::string text;
  Rng rng(4);
  const char* strange[] = {"   ",
                           "\n\n\n",
                           " \n \r\n\t",
                           "it's ",
                           "\xF0\x9F\x98\x80",
                           "12345678",
                           "e\xCC\x81\xCC\x81",
                           "\xC2\xA0\xC2\xA0",
                           "?!...",
                           "      x"};
  for (int64_t i = 0; i < 60; ++i) {
    text += make_story(1, i);
    for (int k = 0; k < 4; ++k) text += strange[rng.below(10)];
    if (i % 20 == 0) text += std::string(3000, 'w');
  }
  return text;
}

std::vector<std::unique_ptr<text::Tokenizer>> tokenizers(const std::string& text) {
  std::vector<std::unique_ptr<text::Tokenizer>> all;
  all.push_back(std::make_unique<text::ByteTokenizer>());
  all.push_back(std::make_unique<text::CharTokenizer>(text::CharTokenizer::train(text)));
  text::BpeTrainer trainer({.vocab_size = 500});
  trainer.add(text);
  all.push_back(trainer.train());
  return all;
}

TEST(PieceEncoder, GivesTheIdsOfTheWholeText) {
  const std::string text = hostile_text();
  for (const auto& tokenizer : tokenizers(text)) {
    const auto expected = tokenizer->encode(text);
    for (const size_t piece_bytes : {1, 5, 64, 1000, 1 << 20}) {
      for (const size_t fed : {1, 3, 100, 4096, 1 << 20}) {
        PieceEncoder encoder(*tokenizer, piece_bytes);
        std::vector<int32_t> ids;
        for (int texts = 0; texts < 2; ++texts) {  // nothing is left of the first
          ids.clear();
          for (size_t at = 0; at < text.size(); at += fed) {
            const auto part = std::string_view(text).substr(at, fed);
            const auto more = encoder.feed(part, at + fed >= text.size());
            ids.insert(ids.end(), more.begin(), more.end());
          }
        }
        ASSERT_TRUE(ids == expected) << tokenizer->kind() << " " << piece_bytes << " " << fed;
      }
    }
  }
}

// A letter and its accent make one character, wherever the text is fed in two.
TEST(PieceEncoder, CountsWhatIsLeftOutWhereItIsEncoded) {
  text::WordCounter counter({});
  counter.add("caf\xC3\xA9 x\n");
  const text::WordTokenizer words(counter.make());
  for (const size_t fed : {1, 2, 3, 5, 100}) {
    PieceEncoder encoder(words, 4);
    const std::string text = "cafe\xCC\x81 x\r\n\xE2\x98\x83 cafe\xCC\x81";
    for (size_t at = 0; at < text.size();) {
      const auto part =
          text.substr(at, text::code_point_boundary(std::string_view(text).substr(at), fed));
      at += part.size();
      encoder.feed(part, at == text.size());
    }
    const auto left_out = encoder.take_left_out();
    ASSERT_EQ(left_out.list().size(), 1u) << fed << ": " << left_out.note();
    EXPECT_EQ(left_out.list()[0].character, "\xE2\x98\x83");
    EXPECT_EQ(left_out.bytes(), 3);
    EXPECT_TRUE(encoder.take_left_out().list().empty());
  }
}

/// A tokenizer of bytes that never knows a place to cut at.
class Uncut final : public text::Tokenizer {
 public:
  std::string kind() const override { return "uncut"; }
  int64_t vocab_size() const override { return 256; }
  std::optional<int32_t> eos_id() const override { return {}; }
  std::vector<int32_t> encode(std::string_view text) const override {
    return {static_cast<int32_t>(text.size())};
  }
  std::string token_bytes(int32_t) const override { return ""; }
  size_t cut_at(std::string_view text, size_t) const override { return text.size(); }
  std::string to_json() const override { return "{}"; }
};

TEST(PieceEncoder, WhatCannotBeCutIsWaitedForUpToABound) {
  const Uncut tokenizer;
  PieceEncoder encoder(tokenizer);
  const std::string megabyte(1 << 20, 'x');
  for (int i = 0; i < 9; ++i) EXPECT_TRUE(encoder.feed(megabyte, false).empty());
  EXPECT_EQ(encoder.feed(megabyte, true), std::vector<int32_t>{10 << 20});
  EXPECT_THROW(
      {
        for (int i = 0; i < 300; ++i) encoder.feed(megabyte, false);
      },
      Error);
}

}  // namespace
}  // namespace adder::data
