#include "adder/infer/score.h"

#include <gtest/gtest.h>

#include <cmath>

#include "adder/base/error.h"
#include "adder/base/thread_pool.h"
#include "adder/infer/test_support.h"

namespace adder::infer {
namespace {

using namespace testing_support;

double naive_loss(const Row& logits, int32_t target) {
  double sum = 0;
  for (const double logit : logits) sum += std::exp(logit);
  return std::log(sum) - logits[static_cast<std::size_t>(target)];
}

class TokenLosses : public testing::Test {
 protected:
  TokenLosses() : source_(small_config()), model_(source_.config, source_.weights, pool_) {}

  /// The loss of ids[t], read from ids[begin] on with an empty state.
  double expected(std::size_t begin, std::size_t t) const {
    const std::vector<int32_t> context(ids_.begin() + static_cast<std::ptrdiff_t>(begin),
                                       ids_.begin() + static_cast<std::ptrdiff_t>(t));
    return naive_loss(NaiveModel(source_).logits(context).back(), ids_[t]);
  }

  const ThreadPool pool_{2};
  RandomModel source_;
  Model model_;
  std::vector<int32_t> ids_ = random_ids(40, 29);
};

TEST_F(TokenLosses, OfEveryOptionSetAgreeWithPlainLoops) {
  for (const auto& options : option_sets()) {
    const RandomModel source(with_options(options));
    Model model(source.config, source.weights, pool_);
    const auto ids = random_ids(100, source.config.vocab_size, 3);
    const auto losses = token_losses(model, ids);
    const Rows logits = NaiveModel(source).logits(ids);
    ASSERT_EQ(losses.size(), 99u);
    for (std::size_t t = 0; t < losses.size(); ++t) {
      ASSERT_NEAR(losses[t], naive_loss(logits[t], ids[t + 1]), 1e-4) << t;
    }
  }
}

TEST_F(TokenLosses, WindowsSideBySide) {
  const auto losses = token_losses(model_, ids_, {.window = 16});
  ASSERT_EQ(losses.size(), 39u);
  for (const std::size_t t : {1, 15, 16, 17, 18, 32, 33, 39}) {
    const std::size_t begin = (t - 1) / 16 * 16;  // windows read 16 tokens and predict 16
    EXPECT_NEAR(losses[t - 1], expected(begin, t), 1e-4) << t;
  }
}

TEST_F(TokenLosses, OverlappingWindowsScoreEachTokenOnce) {
  const auto losses = token_losses(model_, ids_, {.window = 16, .stride = 5});
  // The first window predicts 1..16, the next ones begin at 5, 10, ... and add five each.
  for (const std::size_t t : {1, 16, 17, 21, 22, 26, 37, 39}) {
    const std::size_t begin = t <= 16 ? 0 : (t - 16 + 4) / 5 * 5;
    EXPECT_NEAR(losses[t - 1], expected(begin, t), 1e-4) << t;
  }
}

TEST_F(TokenLosses, OnesThatAreNotFiniteAreNamed) {
  // Only the token 11 meets the damaged row of the untied embedding: what is read after it is lost.
  RandomModel source(with_options({"tie_embeddings=false"}));
  source.storage.at("backbone.embeddings.weight")[11 * 16 + 3] = NAN;
  Model model(source.config, source.weights, pool_);
  const std::vector<int32_t> ids = {1, 2, 3, 4, 11, 5};
  for (const int64_t window : {1, 2, 4}) {  // the damage begins a window of its own
    try {
      token_losses(model, ids, {.window = window});
      FAIL();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kNumeric);
      EXPECT_NE(error.text().where.find("token 5 "), std::string::npos) << error.what();
    }
  }
}

TEST_F(TokenLosses, Edges) {
  EXPECT_TRUE(token_losses(model_, std::span(ids_).first(1)).empty());
  EXPECT_TRUE(token_losses(model_, {}).empty());
  EXPECT_EQ(token_losses(model_, std::span(ids_).first(2)).size(), 1u);
  const std::vector<int32_t> bad = {1, 29};
  EXPECT_THROW(token_losses(model_, bad), Error);
  EXPECT_THROW(token_losses(model_, ids_, {.window = 4, .stride = 5}), Error);
}

}  // namespace
}  // namespace adder::infer
