#include "adder/eval/statistics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "adder/base/rng.h"

namespace adder::eval {
namespace {

TEST(Statistics, OfASmallSample) {
  // 1, 2, 4: mean 7/3, sample variance 7/3.
  EXPECT_NEAR(mean_error(std::vector<double>{1, 2, 4}).value(), std::sqrt(7.0 / 9.0), 1e-12);
  EXPECT_EQ(mean_error(std::vector<double>{1}), std::nullopt);
  // The sample deviation of three ones and one zero is 1/2.
  EXPECT_NEAR(share_error(0.75, 4).value(), mean_error(std::vector<double>{1, 1, 1, 0}).value(),
              1e-12);
  EXPECT_EQ(share_error(0.5, 1), std::nullopt);
}

TEST(Statistics, StudentsQuantiles) {  // printed tables, two-sided 95 %
  EXPECT_NEAR(student_quantile(1), 12.706, 1e-3);
  EXPECT_NEAR(student_quantile(11), 2.201, 1e-3);
  EXPECT_NEAR(student_quantile(20), 2.086, 1e-3);
  EXPECT_NEAR(student_quantile(30), 2.042, 1e-3);
  EXPECT_NEAR(student_quantile(120), 1.980, 1e-3);
}

TEST(RatioEstimate, ByHand) {
  RatioEstimate estimate;
  estimate.add(2, 1);
  EXPECT_EQ(estimate.half_width(), 0);  // one document says nothing
  estimate.add(3, 4);
  estimate.add(5, 5);
  // ratio 1; deviations 1, -1, 0: variance 3/2 * 2 / 100.
  EXPECT_DOUBLE_EQ(estimate.ratio(), 1);
  EXPECT_NEAR(estimate.standard_error(), std::sqrt(0.03), 1e-12);
  EXPECT_NEAR(estimate.half_width(), 4.3027 * std::sqrt(0.03), 1e-12);
}

TEST(RatioEstimate, OfEqualDocumentsIsTheMean) {
  RatioEstimate estimate;
  const std::vector<double> values = {1, 2, 4};
  for (const double value : values) estimate.add(10 * value, 10);
  EXPECT_NEAR(estimate.ratio(), 7.0 / 3.0, 1e-12);
  EXPECT_NEAR(estimate.standard_error(), mean_error(values).value(), 1e-12);
}

TEST(RatioEstimate, TheIntervalHoldsTheTruthAsOftenAsItSays) {
  Rng rng(5);
  constexpr int kRounds = 2000, kDocuments = 20;
  int held = 0;
  for (int round = 0; round < kRounds; ++round) {
    RatioEstimate estimate;
    for (int i = 0; i < kDocuments; ++i) {
      const double length = 50 + static_cast<double>(rng.below(100));
      estimate.add(length * (3 + 0.5 * rng.normal()), length);
    }
    held += std::abs(estimate.ratio() - 3) < estimate.half_width();
  }
  // 95 % of 2000 rounds; a share's standard error is 0.5 %, and the estimator runs a little low.
  EXPECT_NEAR(held / static_cast<double>(kRounds), 0.95, 0.02);
}

}  // namespace
}  // namespace adder::eval
