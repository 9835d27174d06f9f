#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "adder/base/error.h"
#include "adder/data/loader.h"
#include "adder/data/shard_writer.h"
#include "adder/data/split.h"
#include "adder/data/test_folder.h"
#include "adder/text/byte_tokenizer.h"

namespace adder::data {
namespace {

constexpr int kParts = 3;
constexpr int64_t kTokens[kParts] = {400, 90, 1000};

/// Three corpora of one document each; the id at a place of corpus c is 80 c + place mod 80.
ShardSet three_corpora(const TestFolder& folder) {
  const text::ByteTokenizer tokenizer;
  ShardWriter writer(folder / "set", tokenizer);
  for (int c = 0; c < kParts; ++c) {
    writer.begin_part("corpus " + std::to_string(c), false);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < kTokens[c]; ++i) ids.push_back(static_cast<int32_t>(80 * c + i % 80));
    writer.add_document(ids);
  }
  writer.finish();
  return ShardSet::open(folder / "set");
}

/// The corpus of each row of the next `count` rows.
std::vector<int> corpora_of_rows(TokenLoader& loader, int64_t count) {
  std::vector<int> corpora;
  while (static_cast<int64_t>(corpora.size()) < count) {
    const Batch batch = loader.next();
    const auto tokens = batch.at("tokens").as<int32_t>();
    const auto length = static_cast<size_t>(batch.at("tokens").shape[1]);
    for (size_t at = 0; at < tokens.size(); at += length) {
      corpora.push_back(tokens[at] / 80);
      for (size_t t = at; t < at + length; ++t) EXPECT_EQ(tokens[t] / 80, corpora.back());
    }
  }
  return corpora;
}

TEST(Mixture, SharesAreThoseOfTheWeights) {
  const TestFolder folder;
  const ShardSet set = three_corpora(folder);
  const std::vector<double> weights = {7, 2, 1};  // of 10
  const Split split = split_tokens(set, 0, weights);
  ASSERT_EQ(split.train.size(), 3u);
  TokenLoader loader(set, split.train, {.batch_size = 8, .length = 16, .seed = 3});
  constexpr int64_t kRows = 8000;
  std::vector<int64_t> counts(kParts);
  for (const int corpus : corpora_of_rows(loader, kRows)) ++counts[static_cast<size_t>(corpus)];
  for (size_t c = 0; c < kParts; ++c) {
    const double p = weights[c] / 10;
    const double deviation = std::sqrt(kRows * p * (1 - p));  // binomial
    EXPECT_NEAR(static_cast<double>(counts[c]), kRows * p, 4 * deviation) << c;
  }
}

TEST(Mixture, EachCorpusGoesThroughItsOwnWindows) {
  const TestFolder folder;
  const ShardSet set = three_corpora(folder);
  const Split split = split_tokens(set, 0, {0.2, 0.6, 0.2});
  TokenLoader loader(set, split.train, {.batch_size = 1, .length = 80, .seed = 3});
  // Corpus 2 of 1000 tokens has 11 or 12 windows of 80 in an epoch: their places in the corpus are
  // found by cursor, each index once.
  std::vector<int64_t> indices;
  for (int i = 0; i < 200; ++i) {
    const auto before = loader.cursor()["portions"][2];
    loader.next();
    const auto after = loader.cursor()["portions"][2];
    if (before != after) indices.push_back(after["index"].get<int64_t>());
  }
  ASSERT_GT(indices.size(), 13u);
  for (size_t i = 1; i < indices.size(); ++i) {
    EXPECT_TRUE(indices[i] == indices[i - 1] + 1 || indices[i] == 1) << i;
  }
}

TEST(Mixture, RowsDoNotDependOnTheBatchSize) {
  const TestFolder folder;
  const ShardSet set = three_corpora(folder);
  const Split split = split_tokens(set, 0, {1, 1, 1});
  const auto rows = [&](int64_t batch_size, int64_t seed) {
    TokenLoader loader(set, split.train, {batch_size, 16, seed, PackMode::kPacked});
    return corpora_of_rows(loader, 120);
  };
  EXPECT_EQ(rows(1, 5), rows(8, 5));
  EXPECT_NE(rows(1, 5), rows(1, 6));  // 1 in 3^120 by chance
}

TEST(Mixture, ResumesAtTheExactRow) {
  const TestFolder folder;
  const ShardSet set = three_corpora(folder);
  const Split split = split_tokens(set, 0.1, {0.5, 0.3, 0.2});
  const LoaderOptions options{.batch_size = 3, .length = 20, .seed = 11};
  TokenLoader straight(set, split.train, options);
  for (int k = 0; k < 60; ++k) {
    TokenLoader resumed(set, split.train, options);
    resumed.seek(io::Json::parse(straight.cursor().dump()));
    const Batch a = straight.next(), b = resumed.next();
    ASSERT_EQ(a.at("tokens").bytes, b.at("tokens").bytes) << k;
    ASSERT_EQ(a.at("targets").bytes, b.at("targets").bytes) << k;
  }
}

TEST(Mixture, HoldsTheEndOfEachCorpusOut) {
  const TestFolder folder;
  const ShardSet set = three_corpora(folder);
  const Split split = split_tokens(set, 0.25, {1, 1, 1});
  ASSERT_EQ(split.validation.size(), 3u);
  int64_t begin = 0;
  for (size_t c = 0; c < kParts; ++c) {
    const auto border = begin + static_cast<int64_t>(0.75 * static_cast<double>(kTokens[c]));
    EXPECT_EQ(split.train[c].ranges.at(0), (TokenRange{begin, border}));
    EXPECT_EQ(split.validation[c].ranges.at(0), (TokenRange{border, begin + kTokens[c]}));
    begin += kTokens[c];
  }
  const TokenLoader loader(set, split.validation, {.batch_size = 1, .length = 10});
  // (tokens - 1) / 10 windows of 100, 23 and 250 tokens.
  ASSERT_EQ(loader.eval_windows(), 9 + 2 + 24);
  std::multiset<int> corpora;
  const Batch batch = loader.eval_batch(8, 4);
  const auto tokens = batch.at("tokens").as<int32_t>();
  for (size_t row = 0; row < 4; ++row) corpora.insert(tokens[row * 10] / 80);
  EXPECT_EQ(corpora, (std::multiset<int>{0, 1, 1, 2}));
  EXPECT_EQ(tokens[0], 380 % 80);  // window 8 of corpus 0 begins at 300 + 80
  EXPECT_EQ(tokens[10], 80 + 67);  // floor(67.5)
}

TEST(Mixture, TheShareHeldOutIsTheSameWithoutWeights) {
  const TestFolder folder;
  const ShardSet set = three_corpora(folder);
  const Split with = split_tokens(set, 0.25, {1, 1, 1}), without = split_tokens(set, 0.25);
  ASSERT_EQ(without.train.size(), 1u);
  for (size_t c = 0; c < kParts; ++c) {
    EXPECT_EQ(without.train[0].ranges.at(c), with.train[c].ranges.at(0));
    EXPECT_EQ(without.validation[0].ranges.at(c), with.validation[c].ranges.at(0));
  }
  // A window that goes on into the next text: a document begins there, nothing is predicted over
  // it.
  const TokenLoader loader(set, without.train, {.batch_size = 1, .length = 310});
  const Batch batch = loader.eval_batch(0, 1);
  EXPECT_EQ(batch.at("seq_idx").as<int32_t>()[299], 0);
  EXPECT_EQ(batch.at("seq_idx").as<int32_t>()[300], 1);
  EXPECT_EQ(batch.at("targets").as<int64_t>()[299], kIgnoreTarget);
  EXPECT_EQ(batch.at("tokens").as<int32_t>()[300], 80);
}

TEST(Mixture, WithoutWeightsTheTextsFollowEachOther) {
  const TestFolder folder;
  const ShardSet set = three_corpora(folder);
  const Split split = split_tokens(set, 0);
  ASSERT_EQ(split.train.size(), 1u);
  EXPECT_EQ(split.train[0].ranges.at(0), set.all());
  EXPECT_THROW((void)split_tokens(set, 0, {1, 2}), Error);
}

TEST(Mixture, PartsThatAreHeldOutAreNotTrainedOn) {
  const TestFolder folder;
  const text::ByteTokenizer tokenizer;
  ShardWriter writer(folder / "set", tokenizer);
  writer.begin_part("a", false);
  writer.add_document(std::string_view("train"));  // 6 with eos
  writer.begin_part("left out", false);
  writer.begin_part("b", true);
  writer.add_document(std::string_view("held"));
  writer.finish();
  const ShardSet set = ShardSet::open(folder / "set");
  EXPECT_EQ(set.manifest().parts.size(), 2u);
  const Split split = split_tokens(set, 0.5);  // not looked at
  ASSERT_EQ(split.train.size(), 1u);
  EXPECT_EQ(split.train[0].ranges.at(0), (TokenRange{0, 6}));
  ASSERT_EQ(split.validation.size(), 1u);
  EXPECT_EQ(split.validation[0].ranges.at(0), (TokenRange{6, 11}));
}

TEST(Mixture, SomethingMustBeLeftToTrainOn) {
  const TestFolder folder;
  const text::ByteTokenizer tokenizer;
  ShardWriter writer(folder / "set", tokenizer);
  writer.begin_part("all", true);
  writer.add_document(std::string_view("held"));
  writer.finish();
  EXPECT_THROW((void)split_tokens(ShardSet::open(folder / "set"), 0), Error);
}

}  // namespace
}  // namespace adder::data
