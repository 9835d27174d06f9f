#include "adder/train/report_compare.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "adder/base/error.h"
#include "adder/io/file.h"

namespace adder::train {
namespace {

namespace fs = std::filesystem;

class ComparisonTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() / ("adder-compare-" + std::to_string(getpid()));
    fs::remove_all(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// A run of 100 steps of 10 tokens that was evaluated at steps 50 and 100.
  LabelledRun run(const std::string& label, const std::string& name, double middle, double end) {
    const fs::path run = folder_ / name;
    io::make_directories(run);
    io::write_json_file(run / "run.json", {{"model", {{"parameters", 5000}}}});
    std::string lines;
    for (const int step : {50, 100}) {
      const io::Json line = {{"kind", "step"},      {"step", step}, {"tokens", step * 10},
                             {"loss", 3},           {"lr", 0.1},    {"grad_norm", 1},
                             {"tokens_per_s", 200}, {"rss_mb", 50}, {"time", 1000 + step}};
      const io::Json eval = {{"kind", "eval"},
                             {"step", step},
                             {"time", 1000 + step},
                             {"loss", step == 50 ? middle : end}};
      lines += line.dump() + "\n" + eval.dump() + "\n";
    }
    io::write_file_atomic(run / "metrics.jsonl", lines);
    return {label, run};
  }

  fs::path folder_;
};

TEST_F(ComparisonTest, RunsOfOneLabelAreOneExperimentWithItsMedian) {
  const std::vector<LabelledRun> runs = {run("a", "a1", 2, 1.5), run("b", "b1", 3, 2.5),
                                         run("a", "a2", 2, 1.1), run("a", "a3", 2, 1.2)};
  const io::Json json = comparison_json(runs);
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0].at("experiment"), "a");
  EXPECT_EQ(json[0].at("runs"), 3);
  EXPECT_EQ(json[0].at("held_out_loss"), 1.2);
  EXPECT_EQ(json[0].at("held_out_losses"), io::Json({1.5, 1.1, 1.2}));
  EXPECT_EQ(json[0].at("tokens"), 1000);
  EXPECT_EQ(json[0].at("seconds"), 50);
  EXPECT_EQ(json[0].at("parameters"), 5000);
  EXPECT_EQ(json[1].at("held_out_loss"), 2.5);
  const std::string page = comparison_page(runs);
  EXPECT_NE(page.find("<td>a</td><td class=\"n\">3</td>"), std::string::npos);
  EXPECT_NE(page.find("1.5, 1.1, 1.2"), std::string::npos);
}

TEST_F(ComparisonTest, ThePictureHasALineForEachRunAndANameForEachExperiment) {
  const std::string svg =
      comparison_svg({run("<a>", "a1", 2, 1.5), run("b", "b1", 3, 2.5), run("<a>", "a2", 2, 1)});
  const auto count = [&](const std::string& text) {
    size_t found = 0, at = 0;
    while ((at = svg.find(text, at)) != std::string::npos) ++found, at += text.size();
    return found;
  };
  EXPECT_EQ(count("<circle"), 6u);
  EXPECT_EQ(count("&lt;a&gt;"), 1u);
  EXPECT_EQ(count(">b</text>"), 1u);
  EXPECT_EQ(count("tokens read"), 1u);
}

TEST_F(ComparisonTest, AFolderThatIsNoRunIsAnError) {
  EXPECT_THROW(comparison_page({{"a", folder_ / "nothing"}}), Error);
}

}  // namespace
}  // namespace adder::train
