#include "adder/text/bpe_trainer.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "adder/base/error.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"
#include "adder/io/json.h"

namespace adder::text {
namespace {

namespace fs = std::filesystem;

io::Json merges_of(const Tokenizer& tokenizer) {
  return io::parse_json(tokenizer.to_json(), "trained")["model"]["merges"];
}

TEST(BpeTrainer, LearnsTheMergesOfTheReferenceLibrary) {
  const char* folder = std::getenv("ADDER_TEST_DATA");
  if (folder == nullptr || *folder == '\0') GTEST_SKIP() << "ADDER_TEST_DATA is not set";
  const auto golden =
      io::read_json_file(fs::path(ADDER_SOURCE_DIR) / "tests/golden/tokenizers/merges.json");
  BpeTrainer trainer({});
  trainer.add(
      io::read_file(fs::path(folder) / "books" / golden["novel"].get<std::string>(), 1 << 24));
  const auto tokenizer = trainer.train();
  EXPECT_EQ(tokenizer->vocab_size(), 4096);
  EXPECT_EQ(tokenizer->eos_id(), 0);
  const io::Json merges = merges_of(*tokenizer);
  EXPECT_EQ(merges.size(), golden["merges"].get<size_t>());
  std::string text;
  for (size_t i = 0; i < merges.size(); ++i) {
    if (i < golden["first"].size()) {
      EXPECT_EQ(merges[i], golden["first"][i]) << i;
    }
    if (i > 0) text += '\n';
    text += merges[i][0].get<std::string>() + " " + merges[i][1].get<std::string>();
  }
  EXPECT_EQ(io::hash128_hex(io::as_bytes(text)), golden["hash"].get<std::string>());
}

// By hand: "ab" stands 4 times, then "abc" 3 times; " ab" is a word of its own.
TEST(BpeTrainer, MergesTheMostFrequentPairFirst) {
  BpeTrainer trainer({.vocab_size = 300, .min_count = 2});
  trainer.add("abc1abc1");
  trainer.add("abc1ab1");
  const auto tokenizer = trainer.train();
  EXPECT_EQ(merges_of(*tokenizer), io::parse_json(R"([["a", "b"], ["ab", "c"]])", "by hand"));
  EXPECT_EQ(tokenizer->vocab_size(), 259);
  EXPECT_EQ(tokenizer->encode("abcab"), (std::vector<int32_t>{258, 257}));
  EXPECT_EQ(tokenizer->id_of("<|endoftext|>"), 0);
}

TEST(BpeTrainer, OfEqualCountsTheSmallerIdsGoFirst) {
  BpeTrainer trainer({.vocab_size = 259, .min_count = 1});
  trainer.add("zy ab zy");  // "zy", "Ġz" + ..., the pairs of " ab" and " zy" are seen once each
  // Seen: (z,y) twice; then (a,b), (Ġ,a), (Ġ,zy) once: a has the smallest id.
  EXPECT_EQ(merges_of(*trainer.train()), io::parse_json(R"([["z", "y"], ["a", "b"]])", "by hand"));
}

TEST(BpeTrainer, PiecesOfAnySizeAreAsTheWhole) {
  std::string text;
  for (int i = 0; i < 400; ++i) text += "we'll see  what they'll\n\n say, won't we? \t it's 12345 ";
  BpeTrainer whole({.vocab_size = 320});
  whole.add(text);
  const std::string expected = whole.train()->to_json();
  for (const size_t size : {1, 7, 64}) {
    BpeTrainer pieces({.vocab_size = 320});
    for (size_t at = 0; at < text.size(); at += size) {
      pieces.add(std::string_view(text).substr(at, size), at + size >= text.size());
    }
    EXPECT_EQ(pieces.train()->to_json(), expected) << size;
  }
}

TEST(BpeTrainer, ControlTokensAreInTheVocabulary) {
  BpeTrainer trainer({.vocab_size = 262, .specials = {"<|im_start|>", "<|im_end|>"}});
  trainer.add("abab abab");
  const auto tokenizer = trainer.train();
  EXPECT_EQ(tokenizer->id_of("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer->eos_id(), 0);
  EXPECT_EQ(tokenizer->encode("<|im_end|>", EncodeOptions{Specials::kParsed}),
            std::vector<int32_t>{2});
  EXPECT_GT(tokenizer->encode("<|im_end|>").size(), 1u);  // of people: letters
}

TEST(BpeTrainer, RefusesWhatItCannotDo) {
  EXPECT_THROW(BpeTrainer({.vocab_size = 256}), Error);
  EXPECT_THROW(BpeTrainer({.vocab_size = int64_t{1} << 40}), Error);
  EXPECT_THROW(BpeTrainer({.min_count = 0}), Error);
  BpeTrainer trainer({});
  EXPECT_THROW(trainer.add("a\xFF"), Error);
  EXPECT_EQ(trainer.train()->vocab_size(), 257);  // no text: the bytes alone
}

}  // namespace
}  // namespace adder::text
