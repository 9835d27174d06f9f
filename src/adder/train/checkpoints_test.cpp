// Checkpoints under fire: killed at every stage, damaged in every file.
#include "adder/train/checkpoints.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "adder/base/error.h"
#include "adder/io/file.h"

namespace adder::train {
namespace {

namespace fs = std::filesystem;

class CheckpointsTest : public testing::Test {
 protected:
  void SetUp() override {
    run_ = fs::temp_directory_path() / ("adder-checkpoints-" + std::to_string(getpid()));
    fs::remove_all(run_);
  }
  void TearDown() override { fs::remove_all(run_); }

  static void fill(const fs::path& folder, int64_t step) {
    io::write_file_atomic(folder / "weights",
                          std::string(10000, static_cast<char>('a' + step % 26)));
    io::write_file_atomic(folder / "state", "step " + std::to_string(step));
  }

  fs::path save(int64_t step, int64_t keep_last = 2, Checkpoints::StageHook hook = {}) const {
    return Checkpoints(run_, keep_last, std::move(hook)).save(step, 1, [&](const fs::path& f) {
      fill(f, step);
    });
  }

  std::set<std::string> entries() const {
    std::set<std::string> names;
    for (const auto& entry : fs::directory_iterator(run_ / "checkpoints"))
      names.insert(entry.path().filename());
    return names;
  }

  /// Saves `step` in a child that is killed where the save names `stage` for the `times`-th time;
  /// false when it got through alive.
  bool save_and_die(int64_t step, const std::string& stage) const {
    const pid_t child = fork();
    if (child == 0) {
      save(step, 2, [&](std::string_view now) {
        if (now == stage) raise(SIGKILL);
      });
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status);
  }

  fs::path run_;
};

TEST_F(CheckpointsTest, KillAtEveryStageNeverLosesTheLastGoodOne) {
  std::vector<std::string> stages;
  for (int64_t step = 1; step <= 3; ++step) {
    save(step, 2, [&](std::string_view stage) {
      if (step == 3) stages.emplace_back(stage);
    });
  }
  ASSERT_EQ(stages, (std::vector<std::string>{"fill", "manifest", "commit", "latest", "retire",
                                              "remove", "done"}));
  int64_t step = 3;
  for (const std::string& stage : stages) {
    ++step;
    EXPECT_TRUE(save_and_die(step, stage)) << stage;
    const Checkpoints after(run_, 2);
    const auto found = after.newest_good();
    ASSERT_TRUE(found.has_value()) << stage;
    const bool renamed = stage != "fill" && stage != "manifest" && stage != "commit";
    EXPECT_EQ(found->step, renamed ? step : step - 1) << stage;
    EXPECT_EQ(io::read_file(found->folder / "state", 100), "step " + std::to_string(found->step));
    for (const std::string& name : entries()) EXPECT_NE(name[0], '.') << name << " was left behind";
    if (!renamed) save(step);  // the next stage starts from a whole save
  }
}

TEST_F(CheckpointsTest, KillAtRandomMomentsNeverLosesTheLastGoodOne) {
  save(1);
  int64_t good = 1;
  const int rounds = std::getenv("ADDER_NIGHTLY") ? 200 : 25;
  for (int round = 0; round < rounds; ++round) {
    const int64_t step = good + 1;
    const pid_t child = fork();
    if (child == 0) {
      save(step);
      _exit(0);
    }
    usleep(static_cast<useconds_t>(round * 7919 % 12000));
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    const auto found = Checkpoints(run_, 2).newest_good();
    ASSERT_TRUE(found.has_value());
    ASSERT_GE(found->step, good);
    good = found->step;
  }
}

TEST_F(CheckpointsTest, DamageIsSeenAndTheOneBeforeIsUsed) {
  save(1);
  const fs::path newest = save(2);
  const fs::path aside = run_ / "checkpoints" / ".damaged-step-00000002";
  const auto damage = [&](const std::string& file, const std::string& content) {
    const std::string before = io::read_file(newest / file, 1 << 20);
    std::ofstream(newest / file, std::ios::trunc) << content;
    const auto found = Checkpoints(run_, 2).newest_good();
    EXPECT_EQ(found->step, 1) << file;
    EXPECT_NE(found->skipped.find("step-00000002"), std::string::npos) << found->skipped;
    EXPECT_TRUE(fs::exists(aside)) << file;
    fs::rename(aside, newest);
    std::ofstream(newest / file, std::ios::trunc) << before;
  };
  std::string flipped(10000, 'c');
  flipped[5000] ^= 1;
  damage("weights", flipped);
  damage("weights", "");
  damage("weights", std::string(9999, 'c'));
  damage("manifest.json", "{");
  EXPECT_EQ(Checkpoints(run_, 2).newest_good()->step, 2);
  fs::remove(newest / "state");
  EXPECT_EQ(Checkpoints(run_, 2).newest_good()->step, 1);
}

TEST_F(CheckpointsTest, ADamagedNewerOneDoesNotPushOutTheNextGoodOne) {
  save(20);
  fs::remove(save(30) / "weights");
  EXPECT_EQ(Checkpoints(run_, 1).newest_good()->step, 20);
  save(25, 1);
  EXPECT_EQ(Checkpoints(run_, 1).newest_good()->step, 25);
}

TEST_F(CheckpointsTest, WhenNoneIsWholeItSaysSoInsteadOfStartingAnew) {
  fs::remove(save(1) / "weights");
  EXPECT_THROW(Checkpoints(run_, 2).newest_good(), Error);
}

TEST_F(CheckpointsTest, KeepsTheLastAndTheBest) {
  save(1);
  save(2);
  Checkpoints(run_, 2).mark_best(2);
  for (const int64_t step : {3, 4, 5}) save(step);
  EXPECT_EQ(entries(), (std::set<std::string>{"best", "latest", "step-00000002", "step-00000004",
                                              "step-00000005"}));
}

TEST_F(CheckpointsTest, AFailedSaveLeavesWhatStood) {
  save(1);
  Checkpoints checkpoints(run_, 2);
  EXPECT_THROW(
      checkpoints.save(2, 1,
                       [](const fs::path&) { throw Error(ErrorKind::kIo, {.what = "disk full"}); }),
      Error);
  EXPECT_THROW(checkpoints.save(2, INT64_MAX / 2, [](const fs::path&) {}), Error);
  EXPECT_EQ(checkpoints.newest_good()->step, 1);
  EXPECT_EQ(entries(), (std::set<std::string>{"latest", "step-00000001"}));
}

}  // namespace
}  // namespace adder::train
