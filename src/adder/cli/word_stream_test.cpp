#include "adder/cli/word_stream.h"

#include <gtest/gtest.h>
#include <pty.h>
#include <unistd.h>

#include <string>
#include <vector>

namespace adder::cli {
namespace {

std::string shown(int columns, const std::vector<std::string>& pieces) {
  WordStream stream(columns);
  std::string out;
  for (const auto& piece : pieces) out += stream.feed(piece);
  return out + stream.flush();
}

TEST(WordStream, WordsThatDoNotFitGoToTheNextLine) {
  EXPECT_EQ(shown(10, {"one two three four"}), "one two\nthree four");
  EXPECT_EQ(shown(10, {"o", "ne tw", "o thr", "ee", " four"}), "one two\nthree four");
  EXPECT_EQ(shown(10, {"one\n two  \nthree"}), "one\n two\nthree");
  EXPECT_EQ(shown(0, {"one two three four"}), "one two three four");
  EXPECT_EQ(shown(5, {"abcdefgh ij"}), "abcde\nfgh\nij");  // a word longer than a line is cut
  EXPECT_EQ(shown(80, {"ends with spaces  "}), "ends with spaces  ");
}

TEST(WordStream, AWordWaitsUntilItIsWhole) {
  WordStream stream(80);
  EXPECT_EQ(stream.feed("Hel"), "");
  EXPECT_EQ(stream.feed("lo wor"), "Hello");
  EXPECT_EQ(stream.feed("ld\n"), " world\n");
  EXPECT_EQ(stream.flush(), "");
}

TEST(WordStream, WideCharactersTakeTwoColumns) {
  EXPECT_EQ(shown(6, {"\u6F22\u5B57 \u6F22\u5B57"}), "\u6F22\u5B57\n\u6F22\u5B57");  // 4 + 1 + 4
  EXPECT_EQ(shown(6, {"e\u0301e\u0301 e\u0301e\u0301"}), "e\u0301e\u0301 e\u0301e\u0301");
}

TEST(ScreenText, BytesThatNoTerminalGetsAreLeftAsTheyAre) {
  int pipe_ends[2], screen, keys;
  if (openpty(&screen, &keys, nullptr, nullptr, nullptr) != 0) {
    GTEST_SKIP() << "no pseudo-terminal can be had here";
  }
  ASSERT_EQ(pipe(pipe_ends), 0);
  const std::string text = "a\x1b[2J\tb ";
  ScreenText piped(pipe_ends[1]), on_screen(keys);
  EXPECT_EQ(piped.feed(text), text);
  EXPECT_EQ(piped.flush(), "");
  EXPECT_EQ(on_screen.feed(text), "a\\x1b[2J b");
  EXPECT_EQ(on_screen.flush(), " ");
  for (const int fd : {pipe_ends[0], pipe_ends[1], screen, keys}) close(fd);
}

TEST(WordStream, NothingSteersTheTerminal) {
  EXPECT_EQ(shown(80, {"a\x1b[2Jb\rc\x07"}), "a\\x1b[2Jb\\x0dc\\x07");
  EXPECT_EQ(shown(80, {"\u202Ex"}), "\\xe2\\x80\\xaex");
}

}  // namespace
}  // namespace adder::cli
