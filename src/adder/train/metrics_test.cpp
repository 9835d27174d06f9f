#include "adder/train/metrics.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <map>
#include <sstream>

#include "adder/base/error.h"
#include "adder/io/file.h"

namespace adder::train {
namespace {

class MetricsTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              ("adder-metrics-" + std::to_string(getpid()) + "-" + info->name());
    std::filesystem::create_directories(folder_);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::filesystem::path log() const { return folder_ / "metrics.jsonl"; }
  std::string text() const { return io::read_file(log(), 1 << 20); }

  /// Steps first..last, with the loss 1 / step and an evaluation after each tenth.
  void write(int64_t resume, int64_t first, int64_t last) const {
    MetricsWriter writer(folder_, resume);
    for (int64_t step = first; step <= last; ++step) {
      writer.step({.step = step, .tokens = step * 64, .loss = 1.0 / double(step), .lr = 1e-3});
      if (step % 10 == 0) writer.evaluation(step, {{"loss", 2.0}, {"acc", 0.5}});
    }
  }

  std::filesystem::path folder_;
};

TEST_F(MetricsTest, ReadsBackWhatWasWritten) {
  write(0, 1, 10);
  const Metrics metrics = read_metrics(log());
  ASSERT_EQ(metrics.steps.size(), 10u);
  EXPECT_EQ(metrics.steps[2].step, 3);
  EXPECT_EQ(metrics.steps[2].tokens, 192);
  EXPECT_EQ(metrics.steps[2].loss, 1.0 / 3);  // text keeps every bit of a double
  EXPECT_GT(metrics.steps[2].rss_mb, 0);
  EXPECT_GT(metrics.steps[2].time, 1.7e9);
  ASSERT_EQ(metrics.evaluations.size(), 1u);
  EXPECT_EQ(metrics.evaluations[0].values,
            (std::map<std::string, double>{{"acc", 0.5}, {"loss", 2}}));
}

TEST_F(MetricsTest, NumbersThatAreNotFiniteStayJson) {
  MetricsWriter writer(folder_, 0);
  writer.step({.step = 1, .loss = std::nan(""), .skipped = true});
  writer.step({.step = 2, .loss = std::numeric_limits<double>::infinity()});
  EXPECT_NE(text().find("\"loss\":null"), std::string::npos);
  const Metrics metrics = read_metrics(log());
  EXPECT_TRUE(std::isnan(metrics.steps[0].loss));
  EXPECT_TRUE(metrics.steps[0].skipped);
  EXPECT_TRUE(std::isnan(metrics.steps[1].loss));
  EXPECT_FALSE(metrics.steps[1].skipped);
}

TEST_F(MetricsTest, ResumeLeavesNoStepTwice) {
  write(0, 1, 30);
  write(20, 21, 25);
  const Metrics metrics = read_metrics(log());
  ASSERT_EQ(metrics.steps.size(), 25u);
  for (int64_t i = 0; i < 25; ++i) EXPECT_EQ(metrics.steps[size_t(i)].step, i + 1);
  EXPECT_EQ(metrics.evaluations.size(), 2u);
}

TEST_F(MetricsTest, AFreshStartForgets) {
  write(0, 1, 30);
  write(0, 1, 5);
  EXPECT_EQ(read_metrics(log()).steps.size(), 5u);
}

TEST_F(MetricsTest, ATornLastLineIsDropped) {
  write(0, 1, 3);
  std::ofstream(log(), std::ios::app) << "{\"kind\":\"step\",\"st";
  EXPECT_EQ(read_metrics(log()).steps.size(), 3u);
  write(3, 4, 4);  // and does not spoil the line after it
  EXPECT_EQ(read_metrics(log()).steps.size(), 4u);
}

TEST_F(MetricsTest, AnyOtherBadLineIsNamed) {
  write(0, 1, 2);
  std::ofstream(log(), std::ios::app) << "not json\n";
  try {
    read_metrics(log());
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kFormat);
    EXPECT_NE(std::string(error.what()).find("line 3"), std::string::npos) << error.what();
  }
}

TEST_F(MetricsTest, UnknownKindsArePassedOver) {
  write(0, 1, 2);
  std::ofstream(log(), std::ios::app) << "{\"kind\":\"note\",\"step\":2,\"text\":\"x\"}\n";
  EXPECT_EQ(read_metrics(log()).steps.size(), 2u);
}

TEST_F(MetricsTest, EachLineIsOnDiskAtOnce) {
  MetricsWriter writer(folder_, 0);
  writer.step({.step = 1});
  EXPECT_EQ(read_metrics(log()).steps.size(), 1u);
}

TEST_F(MetricsTest, TheReasonOfAnEarlyEndIsReadBackAndCutOffByAResumeBeforeIt) {
  {
    MetricsWriter writer(folder_, 0);
    writer.step({.step = 7});
    writer.stop({.step = 7, .cause = "patience", .reason = "no \"better\" loss"});
  }
  ASSERT_EQ(read_metrics(log()).stops.size(), 1u);
  const StopMetrics stop = read_metrics(log()).stops[0];
  EXPECT_EQ(stop.step, 7);
  EXPECT_EQ(stop.cause, "patience");
  EXPECT_EQ(stop.reason, "no \"better\" loss");
  EXPECT_GT(stop.time, 1e9);
  MetricsWriter(folder_, 6);
  EXPECT_TRUE(read_metrics(log()).stops.empty());
}

/// Every (tag, step) of the run's event files: a reader of the TFRecord framing and of the few
/// protobuf fields that scalars use.
std::map<std::string, int> scalars(const std::filesystem::path& folder) {
  std::map<std::string, int> counts;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.path().filename().string().starts_with("events.out.tfevents.")) continue;
    const std::string bytes = io::read_file(entry.path(), 1 << 20);
    for (size_t at = 0; at + 12 < bytes.size();) {
      uint64_t length = 0;
      std::memcpy(&length, bytes.data() + at, 8);
      const std::string event = bytes.substr(at + 12, length);
      at += 16 + length;
      // wall_time (9 bytes), then step: key 0x10 and a varint below 128 in these tests.
      if (event.size() < 12 || event[9] != 0x10) continue;
      const size_t tag = event.find('\x0a', 11);
      const auto size = static_cast<size_t>(event[event.find('\x0a', tag + 1) + 1]);
      const std::string name = event.substr(event.find('\x0a', tag + 1) + 2, size);
      ++counts[name + "@" + std::to_string(static_cast<int>(event[10]))];
    }
  }
  return counts;
}

TEST_F(MetricsTest, TensorBoardHoldsEachStepOnceAfterAResume) {
  write(0, 1, 30);
  write(20, 21, 25);
  const auto counts = scalars(folder_);
  for (int step = 1; step <= 25; ++step) {
    for (const char* tag : {"train/loss", "train/lr", "train/grad_norm", "train/tokens_per_s"}) {
      const auto found = counts.find(tag + ("@" + std::to_string(step)));
      ASSERT_NE(found, counts.end()) << tag << " " << step;
      EXPECT_EQ(found->second, 1);
    }
  }
  EXPECT_FALSE(counts.contains("train/loss@26"));
  EXPECT_EQ(counts.at("eval/loss@20"), 1);
  EXPECT_EQ(counts.at("eval/acc@10"), 1);
  EXPECT_FALSE(counts.contains("eval/loss@30"));
}

TEST(Memory, GrowsByWhatIsTouched) {
  const int64_t before = resident_bytes();
  const std::vector<char> block(size_t{64} << 20, 1);
  EXPECT_GE(resident_bytes() - before, int64_t{60} << 20);
  EXPECT_GE(peak_resident_bytes(), before + (int64_t{60} << 20));
  EXPECT_EQ(block[12345], 1);
}

}  // namespace
}  // namespace adder::train
