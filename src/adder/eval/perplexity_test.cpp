#include "adder/eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <numeric>

#include "adder/base/error.h"
#include "adder/base/thread_pool.h"
#include "adder/data/test_folder.h"
#include "adder/infer/test_support.h"
#include "adder/text/byte_tokenizer.h"
#include "adder/text/word_counter.h"
#include "adder/text/word_tokenizer.h"

namespace adder::eval {
namespace {

using infer::testing_support::random_ids;
using infer::testing_support::RandomModel;
using infer::testing_support::with_options;

class PerplexityTest : public testing::Test {
 protected:
  PerplexityTest()
      : source_(with_options({"vocab_size=256"})), model_(source_.config, source_.weights, pool_) {}

  double sum(std::span<const int32_t> ids, const infer::ScoreOptions& options = {}) {
    const auto losses = infer::token_losses(model_, ids, options);
    return std::accumulate(losses.begin(), losses.end(), 0.0);
  }

  const ThreadPool pool_{2};
  RandomModel source_;
  infer::Model model_;
  text::ByteTokenizer tokenizer_;
};

TEST_F(PerplexityTest, PiecesAreTheWhole) {
  const auto ids = random_ids(700, 256);
  for (const infer::ScoreOptions options : {infer::ScoreOptions{}, infer::ScoreOptions{64, 40}}) {
    Perplexity perplexity(model_, nullptr, options, std::nullopt);
    const std::span<const int32_t> all(ids);
    size_t at = 0;
    for (const size_t size : {1, 0, 2, 300, 61, 336}) {
      perplexity.read(all.subspan(at, size));
      at += size;
    }
    ASSERT_EQ(at, ids.size());
    perplexity.end_document();
    EXPECT_EQ(perplexity.tokens(), 699);
    EXPECT_NEAR(perplexity.nats_per_token(), sum(ids, options) / 699, 1e-6);
    EXPECT_FALSE(perplexity.to_json().contains("bits_per_byte"));
    EXPECT_TRUE(perplexity.to_json().at("confidence_95").is_null());
  }
}

TEST_F(PerplexityTest, NothingIsCarriedFromDocumentToDocument) {
  const std::vector<std::vector<int32_t>> documents = {
      random_ids(90, 256, 1), random_ids(1, 256, 2), random_ids(40, 256, 3)};
  std::vector<TokenLoss> seen;
  Perplexity perplexity(
      model_, &tokenizer_, {}, std::nullopt,
      [&](std::span<const TokenLoss> some) { seen.insert(seen.end(), some.begin(), some.end()); });
  for (const auto& ids : documents) {
    perplexity.read(ids);
    perplexity.end_document(static_cast<int64_t>(ids.size()));
  }
  const double nats = sum(documents[0]) + sum(documents[2]);
  const io::Json json = perplexity.to_json();
  EXPECT_EQ(json.at("documents"), 2);  // in the one with one token nothing is foretold
  EXPECT_EQ(json.at("tokens"), 128);
  EXPECT_EQ(json.at("bytes"), 128);  // those of the first tokens are left out
  EXPECT_NEAR(json.at("nats_per_token").get<double>(), nats / 128, 1e-6);
  EXPECT_NEAR(json.at("bits_per_byte").get<double>(), nats / 128 / std::numbers::ln2, 1e-6);
  EXPECT_FALSE(json.at("confidence_95").is_null());
  ASSERT_EQ(seen.size(), 128u);
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(seen[i].document, i < 89 ? 0 : 2);
    EXPECT_EQ(seen[i].token, i < 89 ? documents[0][i + 1] : documents[2][i - 88]);
  }
}

TEST_F(PerplexityTest, ATokenThatBeginsATextIsReadFirst) {
  const auto ids = random_ids(50, 256);
  std::vector<int32_t> longer = {7};
  longer.insert(longer.end(), ids.begin(), ids.end());
  Perplexity perplexity(model_, &tokenizer_, {}, 7);
  perplexity.read(ids);
  perplexity.end_document();
  const io::Json json = perplexity.to_json();
  EXPECT_EQ(json.at("tokens"), 50);
  EXPECT_EQ(json.at("bytes"), 50);
  EXPECT_EQ(json.at("first_token_counted"), true);
  EXPECT_NEAR(json.at("nats_per_token").get<double>(), sum(longer) / 50, 1e-6);
}

TEST_F(PerplexityTest, SpacesThatTheTokenizerImpliesAreBytes) {
  std::string text;  // longer than what is kept of it
  for (int i = 0; i < 30; ++i) text += "the \"cat\" sat on the mat, and (so) the dog did. ";
  text::WordCounter counter({});
  counter.add(text);
  const text::WordTokenizer words(counter.make());
  const std::vector<int32_t> ids = words.encode(text);
  ASSERT_LE(words.vocab_size(), 256);
  for (const size_t size : {size_t{1}, size_t{7}, ids.size()}) {
    Perplexity perplexity(model_, &words, {}, std::nullopt);
    for (size_t at = 0; at < ids.size(); at += size) {
      perplexity.read(std::span(ids).subspan(at, std::min(size, ids.size() - at)));
    }
    perplexity.end_document();
    EXPECT_EQ(perplexity.to_json().at("bytes"), words.decode(ids).size() - 3);  // "the"
  }
}

TEST_F(PerplexityTest, OfFilesIsThatOfTheirTexts) {
  const data::TestFolder folder;
  std::string lines, whole;
  for (int i = 0; i < 300; ++i) whole += "the " + std::to_string(i) + "th line\n";
  const auto first = folder.write("whole.txt", whole);
  const auto second =
      folder.write("two.jsonl", "{\"text\": \"first\"}\n{\"text\": \"the second one\"}\n");
  Perplexity perplexity(model_, &tokenizer_, {}, std::nullopt);
  data::DocumentStream stream(std::vector<std::string>{first.string(), second.string()});
  int64_t told = 0;
  read_documents(perplexity, tokenizer_, stream, [&](int64_t bytes) {
    EXPECT_GE(bytes, told);
    told = bytes;
  });
  EXPECT_EQ(told, stream.bytes_total());
  double nats = 0;
  int64_t tokens = 0;
  for (const std::string& text : {whole, std::string("first"), std::string("the second one")}) {
    nats += sum(tokenizer_.encode(text));
    tokens += static_cast<int64_t>(text.size()) - 1;
  }
  EXPECT_EQ(perplexity.tokens(), tokens);
  EXPECT_NEAR(perplexity.nats_per_token(), nats / static_cast<double>(tokens), 1e-6);
}

TEST_F(PerplexityTest, BytesThatTheTokenizerLeavesOutDoNotCount) {
  const data::TestFolder folder;
  text::WordCounter counter({});
  counter.add("the cat sat");
  const text::WordTokenizer words(counter.make());
  const auto result = [&](const std::string& text) {
    Perplexity perplexity(model_, &words, {}, std::nullopt);
    data::DocumentStream stream({folder.write("t.txt", text).string()});
    const data::LeftOut left_out = read_documents(perplexity, words, stream);
    return std::pair(perplexity.to_json(), left_out.note());
  };
  const auto whole = result("the cat sat"), more = result("the cat\xE2\x98\x83 sat\xE2\x98\x83");
  EXPECT_EQ(more.first, whole.first);
  EXPECT_EQ(whole.second, "");
  EXPECT_NE(more.second.find("left out 2 times"), std::string::npos) << more.second;
}

TEST_F(PerplexityTest, NothingToPredictIsAnError) {
  Perplexity perplexity(model_, nullptr, {}, std::nullopt);
  perplexity.read(std::vector<int32_t>{3});
  perplexity.end_document();
  EXPECT_THROW(perplexity.to_json(), Error);
}

}  // namespace
}  // namespace adder::eval
