#include "adder/infer/stop_filter.h"

#include <gtest/gtest.h>

namespace adder::infer {
namespace {

/// What comes out when `text` goes in, in pieces of `size` bytes; `|` where the stream ends.
std::string through(std::vector<std::string> stops, const std::string& text, std::size_t size) {
  StopFilter filter(std::move(stops));
  std::string out;
  for (std::size_t at = 0; at < text.size(); at += size) {
    out += filter.feed(std::string_view(text).substr(at, size));
  }
  return out + filter.flush() + (filter.stopped() ? "|" : "");
}

TEST(StopFilter, FindsStopsWhereverThePiecesEnd) {
  for (std::size_t size = 1; size < 12; ++size) {
    EXPECT_EQ(through({"\nUser:"}, "Hi there.\nUser: and more", size), "Hi there.|") << size;
    EXPECT_EQ(through({"aab"}, "aaaab", size), "aa|") << size;
    EXPECT_EQ(through({"abcd", "bc"}, "xabce", size), "xa|") << size;
    EXPECT_EQ(through({"END"}, "EN EEND.", size), "EN E|") << size;
    EXPECT_EQ(through({"", "zz"}, "no stop here z", size), "no stop here z") << size;
    EXPECT_EQ(through({}, "text", size), "text") << size;
  }
}

TEST(StopFilter, HoldsBackNoMoreThanItMust) {
  StopFilter filter({"abc"});
  EXPECT_EQ(filter.feed("xxab"), "xx");
  EXPECT_EQ(filter.feed("a"), "ab");
  EXPECT_EQ(filter.feed("y"), "ay");
  EXPECT_EQ(filter.feed("abc!"), "");
  EXPECT_TRUE(filter.stopped());
  EXPECT_EQ(filter.feed("more"), "");
  EXPECT_EQ(filter.flush(), "");
}

TEST(StopFilter, TheEarliestStopCountsNotTheFirstListed) {
  EXPECT_EQ(through({"two", "one"}, "zero one two", 100), "zero |");
}

}  // namespace
}  // namespace adder::infer
