#include "adder/data/generate/retry.h"

#include <gtest/gtest.h>

namespace adder::data {
namespace {

using namespace std::chrono_literals;

TEST(Retry, WaitsGrowToTheLongestWithJitter) {
  Rng rng(1);
  Milliseconds least = 1h, most = 0ms;
  for (int attempt = 0; attempt < 40; ++attempt) {
    const Milliseconds whole = std::min<Milliseconds>(100ms * (1ll << std::min(attempt, 20)), 5s);
    const Milliseconds wait = backoff(attempt, 100ms, 5s, rng);
    EXPECT_GE(wait, whole / 2) << attempt;
    EXPECT_LE(wait, whole) << attempt;
    if (attempt >= 6) least = std::min(least, wait), most = std::max(most, wait);
  }
  EXPECT_GT(most - least, 500ms);  // of 2.5 s that chance may choose from
  EXPECT_EQ(backoff(3, 0ms, 5s, rng), 0ms);
}

TEST(Retry, ReadsRetryAfter) {
  // 784111777 is the time of the standard's example.
  const auto now = std::chrono::system_clock::from_time_t(784111777 - 90);
  EXPECT_EQ(retry_after("120", now), 120s);
  EXPECT_EQ(retry_after("0", now), 0s);
  EXPECT_EQ(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), 90s);
  EXPECT_EQ(retry_after("Sat, 05 Nov 1994 08:49:37 GMT", now), 0s);
  EXPECT_GT(retry_after("Fri, 31 Dec 9999 23:59:59 GMT", now), 10000h);
  EXPECT_EQ(retry_after("Tue, 01 Jan 0001 00:00:00 GMT", now), 0s);
  for (const char* odd : {"", "soon", "-1", "1.5", "99999999999", "Sun, 06 Nov 1994", "1 ",
                          "Sun, 06 Nov 1994 08:49:37 GMT and more than that"}) {
    EXPECT_EQ(retry_after(odd, now), std::nullopt) << odd;
  }
}

TEST(Retry, OnlyWhatMayPass) {
  for (const int status : {408, 429, 500, 502, 503, 504}) EXPECT_TRUE(worth_retrying(status));
  for (const int status : {200, 301, 400, 401, 403, 404, 501}) EXPECT_FALSE(worth_retrying(status));
}

}  // namespace
}  // namespace adder::data
