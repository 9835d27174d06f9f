#include "adder/cli/line_history.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>

#include "adder/cli/test_program.h"
#include "adder/io/file.h"

namespace adder::cli {
namespace {

using Lines = std::vector<std::string>;

unsigned mode_of(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0 ? info.st_mode & 0777u : 0;
}

TEST(LineHistory, IsKeptInAFileOfItsOwnerAlone) {
  const TestFolder folder;
  const std::string file = folder / "state/adder/chat_history";
  const Lines typed = {"one", "two\nlines \\n and \r", "h\u00E9llo", "one"};
  {
    LineHistory history(file);
    EXPECT_TRUE(history.lines().empty());
    for (const auto& line : typed) history.add(line);
    history.add("one");  // the same again
    history.add(" \t");
    history.add(std::string(LineHistory::kMostBytes + 1, 'x'));  // only while this lives
    EXPECT_EQ(history.lines().size(), typed.size() + 1);
  }
  EXPECT_EQ(mode_of(file), 0600u);
  EXPECT_EQ(mode_of(folder / "state/adder"), 0700u);
  EXPECT_EQ(LineHistory(file).lines(), typed);
}

TEST(LineHistory, IsBounded) {
  const TestFolder folder;
  std::string text;
  for (std::size_t i = 0; i < 2 * LineHistory::kMostLines + 1; ++i)
    text += std::to_string(i) + "\n";
  const std::string file = folder.put("history", text);
  const LineHistory history(file);
  ASSERT_EQ(history.lines().size(), LineHistory::kMostLines);
  EXPECT_EQ(history.lines().back(), std::to_string(2 * LineHistory::kMostLines));
  const std::string kept = io::read_file(file, 1 << 20);
  EXPECT_EQ(std::ranges::count(kept, '\n'), static_cast<int>(LineHistory::kMostLines));
  EXPECT_EQ(mode_of(file), 0600u);
}

TEST(LineHistory, WhatIsNoHistoryDoesNoHarm) {
  const TestFolder folder;
  const std::string file = folder.put("history", "good\n\xFF\xFE\nbad \\x escape\n\nlast");
  EXPECT_EQ(LineHistory(file).lines(), (Lines{"good", "last"}));
  LineHistory nowhere(folder.put("plain", "") + "/in/a/file");
  nowhere.add("a line");
  EXPECT_EQ(nowhere.lines(), Lines{"a line"});
}

}  // namespace
}  // namespace adder::cli
