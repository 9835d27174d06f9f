#include "adder/infer/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "adder/base/error.h"

namespace adder::infer {
namespace {

/// Logits of the probabilities 0.1, 0.4, 0.2, 0.3.
const std::vector<float> kLogits = {std::log(0.1f), std::log(0.4f), std::log(0.2f), std::log(0.3f)};

std::map<int32_t, double> chances(const SamplerOptions& options,
                                  std::vector<float> logits = kLogits,
                                  std::vector<int32_t> history = {}, int64_t limit = 0) {
  Sampler sampler(options, limit);
  std::map<int32_t, double> map;
  for (const auto& choice : sampler.distribution(logits, TokenHistory(history))) {
    map[choice.id] = choice.probability;
  }
  return map;
}

void expect(const std::map<int32_t, double>& got, const std::map<int32_t, double>& want) {
  ASSERT_EQ(got.size(), want.size());
  for (const auto& [id, probability] : want) EXPECT_NEAR(got.at(id), probability, 1e-6) << id;
}

TEST(Sampler, PlainSoftmax) {
  expect(chances({}), {{0, 0.1}, {1, 0.4}, {2, 0.2}, {3, 0.3}});
}

TEST(Sampler, TemperatureTakesPowers) {  // T = 1/2 squares the probabilities: 1, 16, 4, 9 of 30
  expect(chances({.temperature = 0.5}), {{0, 1 / 30.}, {1, 16 / 30.}, {2, 4 / 30.}, {3, 9 / 30.}});
}

TEST(Sampler, TopK) {
  expect(chances({.top_k = 2}), {{1, 4 / 7.}, {3, 3 / 7.}});
  expect(chances({.top_k = 9}), {{0, 0.1}, {1, 0.4}, {2, 0.2}, {3, 0.3}});
}

TEST(Sampler, TopPKeepsTheFewestThatHoldTheMass) {
  expect(chances({.top_p = 0.65}), {{1, 4 / 7.}, {3, 3 / 7.}});
  expect(chances({.top_p = 0.75}), {{1, 4 / 9.}, {3, 3 / 9.}, {2, 2 / 9.}});
  expect(chances({.top_p = 1e-9}), {{1, 1}});
}

TEST(Sampler, TopPCountsWhatTopKHasLeft) {  // of 4/7 and 3/7 the first alone holds a half
  expect(chances({.top_k = 2, .top_p = 0.55}), {{1, 1}});
}

TEST(Sampler, MinPIsMeasuredAgainstTheBest) {  // at least 0.6 * 0.4 = 0.24
  expect(chances({.min_p = 0.6}), {{1, 4 / 7.}, {3, 3 / 7.}});
  expect(chances({.min_p = 1}), {{1, 1}});
}

TEST(Sampler, MinPAfterTemperature) {  // 1, 16, 4, 9: at least 0.5 * 16
  expect(chances({.temperature = 0.5, .min_p = 0.5}), {{1, 16 / 25.}, {3, 9 / 25.}});
}

TEST(Sampler, PenaltyDividesPositiveAndMultipliesNegativeLogitsOnce) {
  // Logits 2, 1, -1 with a penalty of 2 on tokens 0 and 2: 1, 1, -2.
  const double e = std::exp(1), total = 2 * e + std::exp(-2);
  expect(chances({.repetition_penalty = 2}, {2, 1, -1}, {0, 2, 0, 0}),
         {{0, e / total}, {1, e / total}, {2, std::exp(-2) / total}});
}

TEST(Sampler, PenaltyComesBeforeTemperature) {  // (2 / 2) / 0.5 = 2 against 1.5 / 0.5 = 3
  const double total = std::exp(2) + std::exp(3);
  expect(chances({.temperature = 0.5, .repetition_penalty = 2}, {2, 1.5f}, {0}),
         {{0, std::exp(2) / total}, {1, std::exp(3) / total}});
}

TEST(Sampler, TemperatureZeroTakesTheBestAndTheLowestIdAmongEquals) {
  Sampler sampler({.temperature = 0});
  EXPECT_EQ(sampler.sample(std::vector<float>{1, 3, 3, 2}, {}), 1);
  EXPECT_EQ(sampler.position(), 0u);
  Sampler penal({.temperature = 0, .repetition_penalty = 2});
  EXPECT_EQ(penal.sample(std::vector<float>{1, 3, 3, 2}, TokenHistory(std::vector<int32_t>{1})), 2);
  expect(chances({.top_k = 2}, {1, 1, 1}), {{0, 0.5}, {1, 0.5}});
}

TEST(Sampler, PaddingIdsAreNeverDrawn) {
  expect(chances({}, {0, 0, 50, 50}, {3}, 2), {{0, 0.5}, {1, 0.5}});
  expect(chances({.repetition_penalty = 2}, {0, 0, 50, 50}, {3}, 2), {{0, 0.5}, {1, 0.5}});
}

TEST(Sampler, ImpossibleTokensAndHugeLogits) {
  const float none = -INFINITY;
  expect(chances({.repetition_penalty = 2}, {none, 5, none, 5}, {0}), {{1, 0.5}, {3, 0.5}});
  expect(chances({.top_p = 0.9}, {1e38f, -1e38f, 1e38f}), {{0, 0.5}, {2, 0.5}});
  EXPECT_THROW(chances({}, {none, none}), Error);
  EXPECT_THROW(chances({}, {1, NAN}), Error);
  EXPECT_THROW(chances({}, {1, INFINITY}), Error);
}

TEST(Sampler, NothingOverflowsAtTheBounds) {
  const std::vector<float> extreme = {3e38f, -3e38f, 2.9e38f};
  for (const double penalty : {0.01, 100.0}) {
    const SamplerOptions options = {
        .temperature = 1e-4, .top_p = 0.9, .min_p = 0.1, .repetition_penalty = penalty};
    expect(chances(options, extreme, {0, 1}), {{penalty > 1 ? 2 : 0, 1}});
  }
  // At a temperature of 1e4 logits hardly matter: exp(1e-4) against 1.
  const double total = std::exp(1e-4) + 1;
  expect(chances({.temperature = 1e4}, {1, 0}), {{0, std::exp(1e-4) / total}, {1, 1 / total}});
}

TEST(Sampler, DamagedWeightsAreNamedAsTheCause) {
  try {
    chances({}, {1, NAN});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumeric);
    EXPECT_NE(error.text().next.find("earlier checkpoint"), std::string::npos);
  }
}

TEST(Sampler, DrawsByTheProbabilitiesAndRepeatsFromASeed) {
  Sampler sampler({.seed = 5}), again({.seed = 5});
  std::map<int32_t, int> counts;
  constexpr int kDraws = 100000;
  for (int i = 0; i < kDraws; ++i) {
    const int32_t id = sampler.sample(kLogits, {});
    ++counts[id];
    ASSERT_EQ(again.sample(kLogits, {}), id);
  }
  const double want[] = {0.1, 0.4, 0.2, 0.3};
  for (int32_t id = 0; id < 4; ++id) {  // five standard deviations
    EXPECT_NEAR(counts[id], kDraws * want[id], 5 * std::sqrt(kDraws * want[id] * (1 - want[id])));
  }
  const uint64_t position = sampler.position();
  const int32_t next = sampler.sample(kLogits, {});
  sampler.seek(position);
  EXPECT_EQ(sampler.sample(kLogits, {}), next);
}

TEST(Sampler, RefusesOptionsThatDoNotFit) {
  for (const SamplerOptions& bad :
       {SamplerOptions{.temperature = -1}, SamplerOptions{.temperature = NAN},
        SamplerOptions{.top_k = -1}, SamplerOptions{.top_p = 0}, SamplerOptions{.top_p = 1.5},
        SamplerOptions{.min_p = -0.1}, SamplerOptions{.repetition_penalty = 0},
        SamplerOptions{.temperature = 1e-308}, SamplerOptions{.temperature = 1e5},
        SamplerOptions{.temperature = INFINITY}, SamplerOptions{.repetition_penalty = 1e-3},
        SamplerOptions{.repetition_penalty = 1e3}, SamplerOptions{.repetition_penalty = NAN}}) {
    EXPECT_THROW(Sampler{bad}, Error);
  }
}

}  // namespace
}  // namespace adder::infer
