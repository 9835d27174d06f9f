#include "adder/model/tensor_spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "adder/base/error.h"

namespace adder::model {
namespace {

std::vector<float> filled(Init init, Shape shape = {400, 500}, const char* name = "w",
                          uint64_t seed = 1) {
  std::vector<float> values(static_cast<std::size_t>(element_count(shape)));
  initialise({.name = name, .shape = shape, .init = init}, seed, values.data());
  return values;
}

double mean(const std::vector<float>& v) {
  return std::accumulate(v.begin(), v.end(), 0.0) / static_cast<double>(v.size());
}

double variance(const std::vector<float>& v) {
  const double m = mean(v);
  double sum = 0;
  for (const float x : v) sum += (x - m) * (x - m);
  return sum / static_cast<double>(v.size());
}

TEST(TensorSpec, CountsElements) {
  EXPECT_EQ(element_count({3, 4, 5}), 60);
  EXPECT_EQ(element_count({}), 1);
  EXPECT_THROW(element_count({int64_t{1} << 32, int64_t{1} << 32}), Error);
  EXPECT_EQ(to_string(Shape{64, 1, 4}), "[64, 1, 4]");
}

// Bounds of the sampled moments: five standard errors of 200,000 draws.
TEST(Initialise, NormalHasItsMoments) {
  const auto v = filled({Init::Kind::kNormal, 0.02});
  EXPECT_NEAR(mean(v), 0, 5 * 0.02 / std::sqrt(2e5));
  EXPECT_NEAR(variance(v), 4e-4, 5 * 4e-4 * std::sqrt(2 / 2e5));
  const auto within = [&](double k) {
    return static_cast<double>(
               std::count_if(v.begin(), v.end(), [&](float x) { return std::abs(x) < k * 0.02; })) /
           2e5;
  };
  EXPECT_NEAR(within(1), 0.682689, 5 * std::sqrt(0.68 * 0.32 / 2e5));
  EXPECT_NEAR(within(2), 0.954500, 5 * std::sqrt(0.95 * 0.05 / 2e5));
}

TEST(Initialise, UniformFillsItsRange) {
  const auto v = filled({Init::Kind::kUniform, -0.5, 0.25});
  const auto [lowest, highest] = std::minmax_element(v.begin(), v.end());
  EXPECT_GE(*lowest, -0.5f);
  EXPECT_LE(*highest, 0.25f);
  EXPECT_NEAR(*lowest, -0.5, 1e-3);
  EXPECT_NEAR(*highest, 0.25, 1e-3);
  EXPECT_NEAR(mean(v), -0.125, 5 * 0.75 / std::sqrt(12 * 2e5));
  EXPECT_NEAR(variance(v), 0.75 * 0.75 / 12, 1e-3);
}

TEST(Initialise, LogOfUniform) {
  auto v = filled({Init::Kind::kLogUniform, 1, 16});
  for (float& x : v) x = std::exp(x);
  EXPECT_NEAR(mean(v), 8.5, 5 * 15 / std::sqrt(12 * 2e5));
  EXPECT_GE(*std::min_element(v.begin(), v.end()), 1.0f);
  EXPECT_LE(*std::max_element(v.begin(), v.end()), 16.0f * 1.000001f);
}

TEST(Initialise, SoftplusOfTheBiasIsLogUniform) {
  auto v = filled({Init::Kind::kInverseSoftplusDt, 1e-3, 0.1, 1e-2});
  for (float& x : v) x = std::log(std::log1p(std::exp(x)));  // log dt
  EXPECT_NEAR(*std::min_element(v.begin(), v.end()), std::log(1e-2), 1e-4);
  EXPECT_NEAR(*std::max_element(v.begin(), v.end()), std::log(0.1), 1e-3);
  // Half of the draws lie below the floor of 1e-2, the middle of the range in logs, and rise to it.
  const auto floored = std::count_if(v.begin(), v.end(), [](float x) { return x < -4.6050f; });
  EXPECT_NEAR(static_cast<double>(floored) / 2e5, 0.5, 5 * 0.5 / std::sqrt(2e5));
  EXPECT_NEAR(mean(v), 0.5 * std::log(1e-2) + 0.5 * 0.5 * (std::log(1e-2) + std::log(0.1)), 0.01);
}

TEST(Initialise, ConstantAndLogArange) {
  EXPECT_EQ(filled({Init::Kind::kConstant, 1}, {2, 2}), (std::vector<float>{1, 1, 1, 1}));
  const auto v = filled({Init::Kind::kLogArange}, {2, 3});
  EXPECT_FLOAT_EQ(v[0], 0);
  EXPECT_FLOAT_EQ(v[4], std::log(2.0f));
  EXPECT_FLOAT_EQ(v[5], std::log(3.0f));
}

TEST(Initialise, AnElementDependsOnSeedNameAndIndexAlone) {
  const Init init{Init::Kind::kNormal, 1};
  const auto wide = filled(init, {10, 10}), again = filled(init, {10, 10});
  EXPECT_EQ(wide, again);
  const auto shorter = filled(init, {3, 7});
  EXPECT_TRUE(std::equal(shorter.begin(), shorter.end(), wide.begin()));
  EXPECT_NE(wide, filled(init, {10, 10}, "w", 2));
  EXPECT_NE(wide, filled(init, {10, 10}, "v", 1));
}

}  // namespace
}  // namespace adder::model
