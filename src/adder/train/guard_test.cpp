#include "adder/train/guard.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace adder::train {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

GuardOptions options(const std::string& on_nan, const std::string& on_spike) {
  GuardOptions result;
  result.on_nan = on_nan;
  result.on_spike = on_spike;
  result.max_skips = 3;
  return result;
}

/// 128 losses with mean 2 and deviation 0.1.
void fill_window(LossGuard& guard) {
  for (int i = 0; i < 128; ++i) EXPECT_EQ(guard.judge(i % 2 ? 2.1 : 1.9, 1), Verdict::kApply);
}

TEST(LossGuard, FollowsThePolicyForNan) {
  EXPECT_EQ(LossGuard(options("skip", "ignore")).judge(kNan, 1), Verdict::kSkip);
  EXPECT_EQ(LossGuard(options("rollback", "ignore")).judge(1, INFINITY), Verdict::kRollBack);
  EXPECT_EQ(LossGuard(options("stop", "ignore")).judge(1, kNan), Verdict::kStop);
}

TEST(LossGuard, StopsAfterTooManyBadStepsInARow) {
  LossGuard guard(options("skip", "ignore"));
  EXPECT_EQ(guard.judge(kNan, 1), Verdict::kSkip);
  EXPECT_EQ(guard.judge(kNan, 1), Verdict::kSkip);
  EXPECT_EQ(guard.judge(2, 1), Verdict::kApply);  // breaks the row
  EXPECT_EQ(guard.judge(kNan, 1), Verdict::kSkip);
  EXPECT_EQ(guard.judge(kNan, 1), Verdict::kSkip);
  EXPECT_EQ(guard.judge(kNan, 1), Verdict::kStop);
}

TEST(LossGuard, SeesASpikeAtSixDeviationsOnceTheWindowIsFull) {
  LossGuard young(options("skip", "skip"));
  EXPECT_EQ(young.judge(2, 1), Verdict::kApply);
  EXPECT_EQ(young.judge(100, 1), Verdict::kApply);  // nothing to compare with yet
  LossGuard guard(options("skip", "skip"));
  fill_window(guard);
  EXPECT_EQ(guard.judge(2.59, 1), Verdict::kApply);
  LossGuard again(options("skip", "skip"));
  fill_window(again);
  EXPECT_EQ(again.judge(2.61, 1), Verdict::kSkip);
  EXPECT_NEAR(again.mean(), 2, 1e-12);  // a spike does not join the window
}

TEST(LossGuard, StateSurvivesACheckpointExactly) {
  LossGuard guard(options("skip", "skip"));
  for (int i = 0; i < 128; ++i) guard.judge(1.0 / (i + 3), 1);
  LossGuard restored(options("skip", "skip"));
  restored.restore(io::parse_json(guard.state().dump(), "state"));
  EXPECT_EQ(restored.mean(), guard.mean());
  EXPECT_EQ(restored.judge(5, 1), Verdict::kSkip);
}

}  // namespace
}  // namespace adder::train
