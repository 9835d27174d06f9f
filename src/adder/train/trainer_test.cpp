// The loop itself, on a task of one tensor: what resumes, what is skipped, what is rolled back,
// what is kept.
#include "adder/train/trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "adder/io/file.h"
#include "adder/train/checkpoint_pointer.h"
#include "adder/train/metrics.h"
#include "adder/train/stop_signals.h"
#include "adder/train/test_line_task.h"

namespace adder::train {
namespace {

namespace fs = std::filesystem;

TEST_F(TrainerTest, LearnsAndRecords) {
  LineTask task;
  options_.steps = 200;
  const TrainResult result = run(task, "a");
  EXPECT_LT(result.evaluation.at("loss"), 0.01);  // the solution is w = 1
  const Metrics metrics = read_metrics(folder_ / "a" / "metrics.jsonl");
  EXPECT_EQ(metrics.steps.size(), 200u);
  EXPECT_EQ(metrics.steps.back().tokens, 800);
  EXPECT_EQ(metrics.evaluations.size(), 1u);
  EXPECT_TRUE(fs::exists(folder_ / "a" / "run.json"));
}

TEST_F(TrainerTest, StopAndResumeEqualsStraightThroughByteForByte) {
  options_.accumulation = 2;
  LineTask straight;
  const TrainResult whole = run(straight, "straight");
  LineTask first, second;
  install_stop_signals();
  on_step_ = [](const StepReport& report) {
    if (report.step == 30) raise(SIGTERM);
  };
  const TrainResult half = run(first, "halves");
  EXPECT_TRUE(half.interrupted);
  EXPECT_LT(half.step, 32);
  on_step_ = {};
  reset_stop_request();
  const TrainResult resumed = run(second, "halves", /*resume=*/true);
  EXPECT_EQ(resumed.step, 60);
  EXPECT_EQ(weights(resumed), weights(whole));
  EXPECT_EQ(io::read_file(resumed.checkpoint / "optimizer.safetensors", 1 << 20),
            io::read_file(whole.checkpoint / "optimizer.safetensors", 1 << 20));
  const auto steps = read_metrics(folder_ / "halves" / "metrics.jsonl").steps;
  const auto expected = read_metrics(folder_ / "straight" / "metrics.jsonl").steps;
  ASSERT_EQ(steps.size(), expected.size());
  for (size_t i = 0; i < steps.size(); ++i)
    EXPECT_EQ(steps[i].loss, expected[i].loss) << "step " << i + 1;
}

TEST_F(TrainerTest, ABadStepIsLeftOut) {
  LineTask task;
  task.poison = {10};
  const TrainResult result = run(task, "a");
  EXPECT_NE(notes_.find("step 11: the loss is nan"), std::string::npos) << notes_;
  const auto steps = read_metrics(folder_ / "a" / "metrics.jsonl").steps;
  EXPECT_TRUE(steps[10].skipped);
  EXPECT_FALSE(steps[11].skipped);
  EXPECT_TRUE(task.parameters().at("w").isfinite().all().item<bool>());
}

TEST_F(TrainerTest, StopPolicyEndsWithATypedErrorAndKeepsTheCheckpoint) {
  LineTask task;
  task.poison = {25};
  options_.guard.on_nan = "stop";
  options_.save_every = 10;
  try {
    run(task, "a");
    FAIL() << "went on over a NaN";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNumeric);
  }
  LineTask again;  // without the poison, from step 20
  on_step_ = [](const StepReport& report) { EXPECT_GT(report.step, 20); };
  EXPECT_EQ(run(again, "a", true).step, 60);
}

TEST_F(TrainerTest, RollBackReturnsToTheCheckpointAndPassesTheBadBatch) {
  LineTask task;
  task.poison = {25};
  options_.guard.on_nan = "rollback";
  options_.save_every = 10;
  std::vector<int64_t> seen;
  on_step_ = [&](const StepReport& report) { seen.push_back(report.step); };
  EXPECT_EQ(run(task, "a").step, 60);
  EXPECT_NE(notes_.find("back to the checkpoint of step 20"), std::string::npos) << notes_;
  EXPECT_EQ(std::count(seen.begin(), seen.end(), 21), 2);
}

TEST_F(TrainerTest, ARollBackThatDoesNotHelpEndsAndLeavesNoStepTwice) {
  LineTask task;
  for (int64_t batch = 25; batch < 1000; batch += 3) task.poison.insert(batch);
  options_.guard.on_nan = "rollback";
  options_.guard.max_skips = 4;
  options_.save_every = 10;
  EXPECT_THROW(run(task, "a"), Error);
  int64_t last = 0;
  for (const StepMetrics& step : read_metrics(folder_ / "a" / "metrics.jsonl").steps) {
    EXPECT_GT(step.step, last);
    last = step.step;
  }
}

TEST_F(TrainerTest, AnotherTaskDoesNotContinueTheRun) {
  LineTask task, other;
  options_.steps = 3;
  run(task, "a");
  options_.steps = 6;
  const std::vector<std::pair<std::string, io::Json>> others = {
      {"kind", {{"kind", "curve"}}},
      {"rank", {{"kind", "line"}, {"rank", 3}}},  // what the run did not have
      {"kind", io::Json::object()}};              // what it had
  for (const auto& [key, identity] : others) {
    other.identity_of = identity;
    try {
      run(other, "a", true);
      ADD_FAILURE() << identity;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig);
      EXPECT_NE(error.text().what.find(key), std::string::npos) << error.what();
    }
  }
}

TEST_F(TrainerTest, OtherSettingsOfAResumedRunAreToldAndRecorded) {
  const auto config = [](double lr, int64_t steps) {
    return io::Json{{"config",
                     {{"train", {{"lr", lr}, {"steps", steps}, {"init", "a"}}},
                      {"model", {{"d_model", steps}}}}}};
  };
  LineTask first, second, third;
  options_.steps = 3;
  description_ = config(0.5, 3);
  run(first, "a");
  options_.steps = 6;
  description_ = config(0.5, 6);
  run(second, "a", true);
  EXPECT_EQ(notes_, "train.steps was 3, is 6 from step 4 on\n");
  notes_.clear();
  options_.steps = 9;
  description_ = config(0.25, 6);
  run(third, "a", true);
  EXPECT_EQ(notes_, "train.lr was 0.5, is 0.25 from step 7 on\n");
  const io::Json json = io::read_json_file(folder_ / "a" / "run.json");
  EXPECT_EQ(json.at("config"), config(0.5, 3).at("config"));
  ASSERT_EQ(json.at("resumed").size(), 2u);
  EXPECT_EQ(json.at("resumed")[0].at("changed"), io::Json({{"train.steps", 6}}));
  EXPECT_EQ(json.at("resumed")[1].at("changed"), io::Json({{"train.lr", 0.25}}));
  EXPECT_EQ(json.at("resumed")[1].at("step"), 6);
}

TEST_F(TrainerTest, ASampleThatFailsIsANote) {
  LineTask task;
  task.bad_sample = true;
  options_.steps = 3;
  EXPECT_EQ(run(task, "a").step, 3);
  EXPECT_NE(notes_.find("step 3: no sample"), std::string::npos) << notes_;
}

TEST_F(TrainerTest, ResumingNothingIsAnError) {
  LineTask task;
  EXPECT_THROW(run(task, "a", true), Error);
}

TEST_F(TrainerTest, ASpikeIsSkippedWhenAskedFor) {
  LineTask task;
  task.poison = {170};
  task.poison_value = 1000;
  options_.steps = 180;
  options_.guard.on_spike = "skip";
  run(task, "a");
  EXPECT_NE(notes_.find("step 171"), std::string::npos) << notes_;
}

TEST_F(TrainerTest, AFolderWithARunIsNotOverwritten) {
  LineTask task;
  options_.steps = 3;
  run(task, "a");
  EXPECT_THROW(run(task, "a"), Error);
}

TEST_F(TrainerTest, TheBestCheckpointIsKept) {
  LineTask task;
  options_.eval_every = 5;
  options_.save_every = 5;
  options_.keep_last = 1;
  task.held_out = {5, 4, 1, 2, 3, 2, 2, 2, 2, 2, 2, 2};  // after steps 5, 10, ...
  run(task, "a");
  const fs::path checkpoints = folder_ / "a" / "checkpoints";
  const auto best = pointed_checkpoint(checkpoints / "best");
  EXPECT_EQ(best, checkpoints / "step-00000015");
  EXPECT_TRUE(fs::exists(*best / "model.safetensors"));
  EXPECT_EQ(pointed_checkpoint(checkpoints / "latest"), checkpoints / "step-00000060");
  EXPECT_FALSE(fs::exists(checkpoints / "step-00000020"));
}

}  // namespace
}  // namespace adder::train
