#include "adder/train/report.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <fstream>

#include "adder/base/error.h"
#include "adder/io/file.h"
#include "adder/train/metrics.h"
#include "adder/train/report_html.h"
#include "adder/train/report_plot.h"

namespace adder::train {
namespace {

class ReportTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = std::filesystem::temp_directory_path() /
              ("adder-report-" + std::to_string(getpid()) + "-" + info->name());
    std::filesystem::create_directories(folder_ / "samples");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
  }
  bool shows(const std::string& text) const {
    return report_page(folder_).find(text) != std::string::npos;
  }

  std::filesystem::path folder_;
};

TEST_F(ReportTest, ShowsWhatTheRunHolds) {
  put("run.json", R"({"adder":"9.8.7","seed":42,"model":{"parameters":846342},
                      "config":{"train":{"steps":20,"optimizer":{"lr":0.004}}}})");
  {
    MetricsWriter writer(folder_, 0);
    for (int step = 1; step <= 20; ++step) {
      writer.step({.step = step,
                   .tokens = step * 100,
                   .loss = 3.25,
                   .lr = 1e-3,
                   .grad_norm = 1,
                   .tokens_per_s = 5000});
    }
    writer.evaluation(20, {{"loss", 2.125}});
  }
  put("samples/step-00000020.txt", "Once upon a time");
  for (const char* text : {"846k", "3.25", "2.125", "steps of 20", "seed 42", "Adder 9.8.7",
                           "optimizer.lr", "0.004", "Once upon a time", "Gradient norm"}) {
    EXPECT_TRUE(shows(text)) << text;
  }
  const auto path = write_report(folder_);
  EXPECT_EQ(io::read_file(path, 1 << 20), report_page(folder_));
}

TEST_F(ReportTest, SaysWhyTrainingEndedAndDrawsItsTarget) {
  put("run.json", R"({"config":{"train":{"overfit":true,"stop":{"target_loss":0.5}}}})");
  {
    MetricsWriter writer(folder_, 0);
    for (int step = 1; step <= 3; ++step) writer.step({.step = step, .loss = 1.0 / step});
    writer.stop({.step = 3, .cause = "target_loss", .reason = "memorised: it is <low>"});
  }
  EXPECT_TRUE(shows("Training ended early, at step 3: memorised: it is &lt;low&gt;."));
  EXPECT_TRUE(shows("memorised: 0.5</span>"));                           // the legend
  EXPECT_TRUE(shows("[&quot;memorised: 0.5&quot;,3,[1,3],[0.5,0.5]]"));  // the line across
  EXPECT_TRUE(shows("training perplexity"));
  MetricsWriter(folder_, 3).step({.step = 4, .loss = 0.2});  // it went on
  EXPECT_FALSE(shows("ended early"));
}

TEST_F(ReportTest, LoadsNothingFromAnywhere) {
  put("run.json", "{}");
  const std::string page = report_page(folder_);
  EXPECT_EQ(page.find("src="), std::string::npos);
  EXPECT_EQ(page.find("href="), std::string::npos);
  EXPECT_EQ(page.find("url("), std::string::npos);
}

TEST_F(ReportTest, TextOfTheRunIsNeverMarkup) {
  const std::string evil = "<script>alert(1)</script>";
  put("run.json", R"({"adder":")" + evil + R"(","config":{")" + evil + R"(":{"k":")" + evil +
                      R"("}},"started":")" + evil + R"("})");
  MetricsWriter(folder_, 0).evaluation(1, {{"' onload=" + evil, 1.0}, {"loss", 1.0}});
  put("samples/step-1.txt", "</pre>" + evil);
  put("samples/" + std::string("<b>.txt"), "x");
  EXPECT_FALSE(shows("<script>alert"));
  EXPECT_FALSE(
      shows("</pre><"
            "script"));
  EXPECT_FALSE(shows("' onload"));
  EXPECT_FALSE(shows("<b>.txt"));
  EXPECT_TRUE(shows("&lt;script&gt;alert(1)&lt;/script&gt;"));
}

TEST_F(ReportTest, MissingAndBrokenPiecesAreSaid) {
  put("run.json", "{ broken");
  put("metrics.jsonl", "");
  const auto page = report_page(folder_);
  EXPECT_NE(page.find("run.json"), std::string::npos);
  EXPECT_NE(page.find("No steps have been recorded yet"), std::string::npos);
  put("run.json", R"([1, 2])");
  put("metrics.jsonl", "{\"kind\":\"step\",\"step\":1}\n");  // a step without numbers
  EXPECT_FALSE(report_page(folder_).empty());
  put("run.json", R"({"config":"text","model":7,"host":[null]})");
  EXPECT_FALSE(report_page(folder_).empty());
}

TEST_F(ReportTest, AFolderThatIsNoRunIsAnError) {
  try {
    write_report(folder_);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ / "report.html"));
}

TEST(Ticks, AreRoundAndInside) {
  EXPECT_EQ(ticks(0, 10, 5), (std::vector<double>{0, 2, 4, 6, 8, 10}));
  EXPECT_EQ(ticks(3, 96, 5), (std::vector<double>{20, 40, 60, 80}));
  for (const double scale : {1e-9, 1e-3, 1.0, 37.0, 1e6}) {
    const auto found = ticks(0.13 * scale, 0.97 * scale, 5);
    EXPECT_GE(found.size(), 2u);
    EXPECT_LE(found.size(), 7u);
    for (const double v : found) {
      EXPECT_GE(v, 0.13 * scale * (1 - 1e-6));
      EXPECT_LE(v, 0.97 * scale * (1 + 1e-6));
    }
  }
}

TEST(ThinOut, KeepsExtremesAndEnds) {
  std::vector<Point> points;
  for (int i = 0; i < 10000; ++i) points.push_back({double(i), std::sin(i * 0.01)});
  points[4321].y = 99;
  points[1234].y = -99;
  const auto kept = thin_out(points, 200);
  EXPECT_LE(kept.size(), 210u);
  double low = 0, high = 0;
  for (size_t i = 0; i < kept.size(); ++i) {
    low = std::min(low, kept[i].y);
    high = std::max(high, kept[i].y);
    EXPECT_GE(kept[i].x, kept[i > 0 ? i - 1 : 0].x);
  }
  EXPECT_EQ(low, -99);
  EXPECT_EQ(high, 99);
  EXPECT_EQ(kept.front().x, 0);
  EXPECT_EQ(kept.back().x, 9999);
}

TEST(Smooth, IsTheMeanOfTheNeighbours) {
  const std::vector<Point> points = {{1, 3}, {2, NAN}, {3, 6}, {4, 0}, {5, 9}};
  const auto smoothed = smooth(points, 1);
  ASSERT_EQ(smoothed.size(), 4u);
  EXPECT_DOUBLE_EQ(smoothed[0].y, 4.5);  // (3 + 6) / 2
  EXPECT_DOUBLE_EQ(smoothed[1].y, 3);    // (3 + 6 + 0) / 3
  EXPECT_DOUBLE_EQ(smoothed[2].y, 5);
  EXPECT_DOUBLE_EQ(smoothed[3].y, 4.5);
  EXPECT_EQ(smoothed[1].x, 3);
}

TEST(Draw, NothingFiniteIsNoChart) {
  EXPECT_EQ(draw({.title = "t", .series = {{.name = "s", .points = {{1, NAN}}}}}), "");
  EXPECT_EQ(draw({.title = "t"}), "");
  const std::string flat =
      draw({.title = "t", .series = {{.name = "s", .points = {{1, 0}, {2, 0}}}}});
  EXPECT_NE(flat.find("<path"), std::string::npos);
  EXPECT_EQ(flat.find("nan"), std::string::npos);
  EXPECT_EQ(flat.find("inf"), std::string::npos);
}

TEST(Numbers, ReadWell) {
  EXPECT_EQ(format_number(12480), "12,480");
  EXPECT_EQ(format_number(-1234567), "-1,234,567");
  EXPECT_EQ(format_number(1.59834), "1.598");
  EXPECT_EQ(format_number(0.0003), "0.0003");
  EXPECT_EQ(format_number(NAN), "–");
  EXPECT_EQ(format_short(846342), "846k");
  EXPECT_EQ(format_short(999960), "1M");
  EXPECT_EQ(format_bytes(3.4e6), "3.4 MB");
  EXPECT_EQ(escape_html("a<b>&\"'\x01"), "a&lt;b&gt;&amp;&quot;&#39;\xef\xbf\xbd");
}

}  // namespace
}  // namespace adder::train
