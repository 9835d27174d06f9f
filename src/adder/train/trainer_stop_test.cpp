// How the loop ends early, lowers its learning rate after bad steps, and keeps bad weights out of
// its checkpoints; and that a resumed run does the same at the same step.
#include <gtest/gtest.h>

#include <csignal>

#include "adder/io/file.h"
#include "adder/train/metrics.h"
#include "adder/train/stop_signals.h"
#include "adder/train/test_line_task.h"

namespace adder::train {
namespace {

namespace fs = std::filesystem;
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class TrainerStopTest : public TrainerTest {
 protected:
  Metrics metrics(const std::string& name) const {
    return read_metrics(folder_ / name / "metrics.jsonl");
  }
  std::string file(const TrainResult& result, const char* name) const {
    return io::read_file(result.checkpoint / name, 1 << 20);
  }
};

TEST_F(TrainerStopTest, EndsWhenTheTrainingLossIsAtTheTargetAndSaysSo) {
  LineTask task;
  task.nothing_held_out = true;
  options_.steps = 1000;
  options_.schedule.schedule = "constant";
  options_.log_every = 5;
  options_.overfit = true;
  options_.stop = {.metric = "train", .target_loss = 0.05};
  const TrainResult result = run(task, "a");
  EXPECT_LT(result.step, 1000);
  EXPECT_EQ(result.step % 5, 0);
  EXPECT_FALSE(result.interrupted);
  EXPECT_LE(result.train_loss, 0.05);
  EXPECT_EQ(result.stopped.find("memorised: the training loss"), 0u) << result.stopped;
  EXPECT_NE(notes_.find(result.stopped), std::string::npos);
  EXPECT_TRUE(fs::exists(result.checkpoint / "model.safetensors"));
  const Metrics found = metrics("a");
  ASSERT_EQ(found.stops.size(), 1u);
  EXPECT_EQ(found.stops[0].step, result.step);
  EXPECT_EQ(found.stops[0].cause, "target_loss");
  EXPECT_EQ(found.stops[0].reason, result.stopped);
  EXPECT_EQ(found.steps.back().step, result.step);

  LineTask again;  // nothing is left to do, until the target is another
  again.nothing_held_out = true;
  EXPECT_EQ(run(again, "a", true).step, result.step);
  EXPECT_EQ(metrics("a").stops.size(), 1u);
  options_.stop.target_loss = 0.02;
  EXPECT_GT(run(again, "a", true).step, result.step);
  EXPECT_EQ(metrics("a").stops.size(), 2u);
}

TEST_F(TrainerStopTest, WhatIsHeldOutMustFitWhatIsAskedForBeforeTheFirstStep) {
  on_step_ = [](const StepReport& report) { ADD_FAILURE() << "step " << report.step; };
  const auto refused = [&](bool nothing_held_out) -> std::string {
    LineTask task;
    task.nothing_held_out = nothing_held_out;
    try {
      run(task, "a");
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig);
      return error.text().where;
    }
    return "";
  };
  options_.eval_every = 5;
  options_.stop = {.metric = "val", .patience = 2};
  EXPECT_EQ(refused(true), "train.stop.metric = val");
  options_.stop = {.metric = "train", .target_loss = 0.5};
  options_.overfit = true;
  EXPECT_EQ(refused(false), "train.overfit = true");
  EXPECT_FALSE(fs::exists(folder_ / "a"));
}

TEST_F(TrainerStopTest, EndsWhenTheHeldOutLossFallsNoMore) {
  LineTask task;
  options_.eval_every = 5;
  options_.log_every = 10;
  options_.stop = {.metric = "val", .patience = 2};
  task.held_out = {5, 4, 3, 3.5, 3, 1, 1};  // after steps 5, 10, ...
  const TrainResult result = run(task, "a");
  EXPECT_EQ(result.step, 25);
  EXPECT_EQ(result.stopped, "no held-out loss in 2 looks was better than the 3.0000 of step 15");
  EXPECT_EQ(metrics("a").evaluations.size(), 5u);
  EXPECT_EQ(metrics("a").steps.back().step, 25);
}

TEST_F(TrainerStopTest, EndsAfterTheEpochsAndTheMinutes) {
  LineTask task, other;
  options_.stop.epochs = 0.5;  // of 40 batches
  EXPECT_EQ(run(task, "a").step, 20);
  options_.stop = {.minutes = 1e-9};
  EXPECT_EQ(run(other, "b").step, 0);
}

TEST_F(TrainerStopTest, AResumedRunLowersItsRateAndEndsWhereTheUninterruptedOneDoes) {
  options_.steps = 500;
  options_.log_every = 5;
  options_.guard.halve_lr_after = 2;
  options_.stop = {.metric = "train", .patience = 4, .min_delta = 1e-3};
  const std::set<int64_t> poison = {10, 11, 12, 13, 40, 41, 60};
  LineTask straight;
  straight.poison = poison;
  const TrainResult whole = run(straight, "straight");
  EXPECT_LT(whole.step, 500);
  EXPECT_EQ(whole.left_out, 7);
  install_stop_signals();
  // Between the bad steps of a pair, and after two of the last looks.
  for (const int64_t stop_at : {int64_t{41}, whole.step - 7}) {
    LineTask first, second;
    first.poison = second.poison = poison;
    const std::string name = "stopped at " + std::to_string(stop_at);
    on_step_ = [&](const StepReport& report) {
      if (report.step == stop_at) raise(SIGTERM);
    };
    EXPECT_TRUE(run(first, name).interrupted);
    on_step_ = {};
    reset_stop_request();
    const TrainResult resumed = run(second, name, true);
    EXPECT_EQ(resumed.step, whole.step);
    EXPECT_EQ(resumed.stopped, whole.stopped);
    for (const char* one : {"model.safetensors", "optimizer.safetensors", "trainer.json"}) {
      EXPECT_EQ(file(resumed, one), file(whole, one)) << one << ", " << name;
    }
  }
}

TEST_F(TrainerStopTest, BadStepsInARowHalveTheRateForGood) {
  LineTask task;
  task.poison = {10, 11, 30};
  options_.schedule = {.schedule = "constant", .warmup_steps = 0};
  options_.guard.halve_lr_after = 2;
  EXPECT_EQ(run(task, "a").left_out, 3);
  const auto steps = metrics("a").steps;
  EXPECT_EQ(steps[11].lr, 0.05);
  EXPECT_EQ(steps[12].lr, 0.025);
  EXPECT_EQ(steps[59].lr, 0.025);  // one bad step is not two
  EXPECT_NE(notes_.find("step 12: the loss is nan, the gradient norm nan, 2 times in a row"),
            std::string::npos)
      << notes_;
  LineTask other;
  other.poison = {10, 11};
  options_.guard.halve_lr_after = 0;
  run(other, "b");
  EXPECT_EQ(metrics("b").steps[59].lr, 0.05);
}

TEST_F(TrainerStopTest, RollBacksToOneCheckpointHalveTheRate) {
  LineTask task;
  task.poison = {22, 24};
  options_.schedule = {.schedule = "constant", .warmup_steps = 0};
  options_.guard.on_nan = "rollback";
  options_.guard.halve_lr_after = 2;
  options_.save_every = 10;
  const TrainResult result = run(task, "a");
  EXPECT_EQ(result.step, 60);
  EXPECT_EQ(result.left_out, 2);
  const auto steps = metrics("a").steps;
  EXPECT_EQ(steps[19].lr, 0.05);
  EXPECT_EQ(steps[20].lr, 0.025);
  EXPECT_NE(notes_.find("2 times in a row: the learning rate is halved"), std::string::npos);
}

TEST_F(TrainerStopTest, WithoutACheckpointToGoBackToTheRateIsHalvedAsWell) {
  LineTask task;
  task.poison = {10, 11, 30};
  options_.schedule = {.schedule = "constant", .warmup_steps = 0};
  options_.guard.on_nan = "rollback";
  options_.guard.halve_lr_after = 2;
  EXPECT_EQ(run(task, "a").left_out, 3);
  const auto steps = metrics("a").steps;
  EXPECT_EQ(steps[11].lr, 0.05);
  EXPECT_EQ(steps[12].lr, 0.025);
  EXPECT_EQ(steps[59].lr, 0.025);
}

TEST_F(TrainerStopTest, WeightsThatAreNotFiniteAreNeverSaved) {
  LineTask task;
  options_.save_every = 10;
  on_step_ = [&](const StepReport& report) {
    if (report.step == 20) task.parameters().at("w").data()[3] = kNan;
  };
  EXPECT_THROW(run(task, "a"), Error);  // every later loss is NaN: max_skips
  EXPECT_NE(notes_.find("step 20: the weights are not finite, no checkpoint"), std::string::npos)
      << notes_;
  const fs::path checkpoints = folder_ / "a" / "checkpoints";
  EXPECT_TRUE(fs::exists(checkpoints / "step-00000010"));
  for (const auto& entry : fs::directory_iterator(checkpoints)) {
    EXPECT_NE(entry.path().filename(), "step-00000020");
    EXPECT_NE(entry.path().filename(), "step-00000030");
  }
  LineTask again;
  on_step_ = {};
  EXPECT_EQ(run(again, "a", true).step, 60);

  LineTask last;  // the end saves nothing either, and says why
  options_.steps = 20;
  on_step_ = [&](const StepReport& report) {
    if (report.step == 20) last.parameters().at("w").data()[3] = kNan;
  };
  try {
    run(last, "b");
    FAIL() << "saved NaN";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumeric);
    EXPECT_NE(std::string(error.what()).find("weights are not finite"), std::string::npos);
  }
  EXPECT_FALSE(fs::exists(folder_ / "b" / "checkpoints" / "step-00000020"));
}

TEST_F(TrainerStopTest, WithRollBackBadWeightsAreReplacedByTheCheckpoints) {
  LineTask task;
  options_.save_every = 10;
  options_.guard.on_nan = "rollback";
  bool once = false;
  on_step_ = [&](const StepReport& report) {
    if (report.step != 20 || std::exchange(once, true)) return;
    task.parameters().at("w").data()[3] = std::numeric_limits<float>::infinity();
  };
  EXPECT_EQ(run(task, "a").step, 60);
  EXPECT_NE(notes_.find("back to the checkpoint of step 10"), std::string::npos) << notes_;
  EXPECT_TRUE(task.parameters().at("w").isfinite().all().item<bool>());
}

}  // namespace
}  // namespace adder::train
