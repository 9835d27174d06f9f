#include "adder/train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace adder::train {
namespace {

ScheduleOptions options(const std::string& kind) {
  ScheduleOptions result;
  result.schedule = kind;
  result.warmup_steps = 10;
  result.final_lr = 0.1;
  result.decay_fraction = 0.25;
  return result;
}

TEST(LearningRate, WarmsUpLinearly) {
  for (const char* kind : {"cosine", "wsd", "constant"}) {
    EXPECT_DOUBLE_EQ(learning_rate_factor(options(kind), 0, 100), 0.1);
    EXPECT_DOUBLE_EQ(learning_rate_factor(options(kind), 4, 100), 0.5);
    EXPECT_DOUBLE_EQ(learning_rate_factor(options(kind), 9, 100), 1.0);
  }
}

TEST(LearningRate, CosineFallsFromOneToTheFloorAtTheLastStep) {
  EXPECT_DOUBLE_EQ(learning_rate_factor(options("cosine"), 10, 100), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate_factor(options("cosine"), 99, 100), 0.1);
  // Half way through 10 .. 99 the cosine is 0: the mean of the ends.
  EXPECT_NEAR(learning_rate_factor(options("cosine"), 54, 100) +
                  learning_rate_factor(options("cosine"), 55, 100),
              2 * 0.55, 1e-12);
}

TEST(LearningRate, WsdIsFlatThenLinear) {
  EXPECT_DOUBLE_EQ(learning_rate_factor(options("wsd"), 74, 100), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate_factor(options("wsd"), 99, 100), 0.1);
  const double slope = 0.9 / 25;
  EXPECT_NEAR(
      learning_rate_factor(options("wsd"), 80, 100) - learning_rate_factor(options("wsd"), 81, 100),
      slope, 1e-12);
}

TEST(LearningRate, ConstantStays) {
  EXPECT_DOUBLE_EQ(learning_rate_factor(options("constant"), 99, 100), 1.0);
}

}  // namespace
}  // namespace adder::train
