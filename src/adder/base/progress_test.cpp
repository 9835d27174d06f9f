#include "adder/base/progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

namespace adder {
namespace {

using namespace std::chrono_literals;

struct Screen {
  std::string text;
  std::chrono::steady_clock::time_point now{};

  Progress bar(bool terminal, bool colour, int64_t total, int columns = 100) {
    ProgressTarget target;
    target.write = [this](std::string_view piece) { text += piece; };
    target.terminal = terminal;
    target.colour = colour;
    target.columns = columns;
    return {target, "training", total, "step", [this] { return now; }};
  }
};

TEST(Progress, ALineOnATerminal) {
  Screen screen;
  auto bar = screen.bar(true, false, 1000);
  bar.update(0);
  screen.text.clear();
  screen.now += 50s;
  bar.update(370, "loss 1.87");
  // 370 steps in 50 s are 7.4 a second; 630 more take 85.1 s.
  EXPECT_EQ(
      screen.text,
      "\rtraining  37% [=======             ] 370/1000  7.4 step/s  01:25 left  loss 1.87\x1b[K");
  screen.text.clear();
  bar.clear();
  EXPECT_EQ(screen.text, "\r\x1b[K");
  bar.clear();
  EXPECT_EQ(screen.text, "\r\x1b[K");
  screen.text.clear();
  bar.update(1000, "loss 1.5");
  screen.now += 50s;
  bar.finish();
  EXPECT_EQ(screen.text,
            "\rtraining 100% [====================] 1000/1000  10 step/s  01:40  loss 1.5\x1b[K\n");
  bar.finish();
  bar.update(1);
  EXPECT_EQ(screen.text.find('\n'), screen.text.size() - 1);
}

TEST(Progress, RedrawsAtMostTenTimesASecond) {
  Screen screen;
  auto bar = screen.bar(true, false, 1000);
  for (int i = 0; i < 1000; ++i) {
    bar.update(i);
    screen.now += 1ms;
  }
  EXPECT_EQ(std::count(screen.text.begin(), screen.text.end(), '\r'), 10);
}

TEST(Progress, PlainLinesElsewhere) {
  Screen screen;
  {
    auto bar = screen.bar(false, true, 100);
    for (int i = 0; i <= 35; ++i) {
      bar.update(i);
      screen.now += 1s;
    }
  }
  EXPECT_EQ(std::count(screen.text.begin(), screen.text.end(), '\n'),
            4);  // at 10, 20, 30 s and the end
  EXPECT_EQ(screen.text.find_first_of("\r\x1b[="), std::string::npos);
  // 10 steps in 10 s: 1 a second, 90 more take 90 s.
  EXPECT_TRUE(screen.text.starts_with("training  10% 10/100  1 step/s  01:30 left\n"))
      << screen.text;
}

TEST(Progress, ShortWorkWritesNothingElsewhere) {
  Screen screen;
  auto bar = screen.bar(false, true, 100);
  for (int i = 0; i <= 9; ++i) {
    bar.update(i);
    screen.now += 1s;
  }
  bar.finish();
  EXPECT_EQ(screen.text, "");
}

TEST(Progress, AnErrorLeavesNoLine) {
  for (const bool terminal : {true, false}) {
    Screen screen;
    try {
      auto bar = screen.bar(terminal, false, 100);
      screen.now += 11s;
      bar.update(1);
      screen.text.clear();
      throw 1;
    } catch (int) {
    }
    EXPECT_EQ(screen.text, terminal ? "\r\x1b[K" : "");
  }
}

TEST(Progress, ColourAndWidth) {
  Screen screen;
  auto bar = screen.bar(true, true, 10);
  bar.update(5, "a=b");
  EXPECT_NE(screen.text.find("[\x1b[32m==========\x1b[0m          ]"), std::string::npos);
  Screen narrow;
  auto cut = narrow.bar(true, false, 10, 20);
  cut.update(5, std::string(500, 'x'));
  EXPECT_EQ(narrow.text.size(), 1 + 19 + 3u);  // "\r", the text, erase to the end of the line
}

TEST(Progress, UnknownTotalAndResumedStart) {
  Screen screen;
  auto bar = screen.bar(true, false, 0);
  bar.update(1000);
  screen.text.clear();
  screen.now += 10s;
  bar.update(3000);
  EXPECT_EQ(screen.text, "\rtraining 3000  200 step/s  00:10\x1b[K");
}

TEST(Progress, NothingIsWrittenWhenNothingBegan) {
  Screen screen;
  { auto bar = screen.bar(true, true, 10); }
  EXPECT_EQ(screen.text, "");
}

TEST(ProgressTarget, AFileIsNoTerminal) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  const auto target = ProgressTarget::of(file);
  EXPECT_FALSE(target.terminal);
  EXPECT_FALSE(target.colour);
  target.write("abc");
  EXPECT_EQ(std::ftell(file), 3);
  std::fclose(file);
}

TEST(FormatDuration, Examples) {
  EXPECT_EQ(format_duration(-1), "00:00");
  EXPECT_EQ(format_duration(59.6), "01:00");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(3 * 86400 + 4 * 3600 + 5 * 60), "3d 04:05");
}

}  // namespace
}  // namespace adder
