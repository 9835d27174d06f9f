#include "adder/base/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <thread>
#include <vector>

namespace adder {
namespace {

TEST(ThreadPool, EveryIndexExactlyOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    const ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t count : {0, 1, 2, 7, 64, 1001}) {
      for (const int64_t grain : {0, 1, 5, 2000}) {
        std::vector<std::atomic<int>> hits(static_cast<std::size_t>(count));
        pool.run(count, grain, [&](int64_t begin, int64_t end) {
          ASSERT_LT(begin, end);
          for (int64_t i = begin; i < end; ++i) ++hits[static_cast<std::size_t>(i)];
        });
        for (const auto& hit : hits) ASSERT_EQ(hit.load(), 1);
      }
    }
  }
}

TEST(ThreadPool, PiecesAreNotSmallerThanTheGrain) {
  const ThreadPool pool(4);
  std::atomic<int> pieces{0};
  pool.run(100, 30, [&](int64_t begin, int64_t end) {
    ++pieces;
    EXPECT_TRUE(end == 100 || end - begin >= 30);
  });
  EXPECT_LE(pieces.load(), 4);
}

TEST(ThreadPool, ManySmallJobsInARow) {
  const ThreadPool pool(4);
  std::atomic<int64_t> sum{0};
  for (int job = 0; job < 20000; ++job) {
    pool.run(8, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
  }
  EXPECT_EQ(sum.load(), 160000);
}

TEST(ThreadPool, ReallyUsesItsThreads) {
  const ThreadPool pool(3);
  std::atomic<int> present{0};
  // Each of the three pieces waits until all three run: with fewer threads this would never end.
  pool.run(3, 1, [&](int64_t, int64_t) {
    ++present;
    while (present.load() < 3) std::this_thread::yield();
  });
  EXPECT_EQ(present.load(), 3);
}

TEST(ThreadPool, AnExceptionReachesTheCallerAndThePoolLives) {
  const ThreadPool pool(4);
  for (int i = 0; i < 50; ++i) {
    EXPECT_THROW(pool.run(1000, 1,
                          [&](int64_t begin, int64_t end) {
                            if (begin <= 500 && 500 < end) throw std::runtime_error("stop");
                          }),
                 std::runtime_error);
    std::atomic<int64_t> sum{0};
    pool.run(1000, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
    EXPECT_EQ(sum.load(), 1000);
  }
}

TEST(ThreadPool, NestedAndConcurrentCallsAreDone) {
  const ThreadPool pool(3);
  std::atomic<int64_t> sum{0};
  const auto outer = [&] {
    for (int job = 0; job < 200; ++job) {
      pool.run(16, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          pool.run(4, 1, [&](int64_t b, int64_t e) { sum += e - b; });
        }
      });
    }
  };
  std::thread other(outer);
  outer();
  other.join();
  EXPECT_EQ(sum.load(), 2 * 200 * 16 * 4);
}

TEST(DefaultThreads, FollowsTheRequestThenTheEnvironment) {
  unsetenv("OMP_NUM_THREADS");
  const int all = default_threads();
  EXPECT_GE(all, 1);
  EXPECT_EQ(default_threads(1), 1);
  EXPECT_EQ(default_threads(1 << 20), all);
  setenv("OMP_NUM_THREADS", "1,2", 1);
  EXPECT_EQ(default_threads(), 1);
  EXPECT_EQ(default_threads(1 << 20), all);
  setenv("OMP_NUM_THREADS", "many", 1);
  EXPECT_EQ(default_threads(), all);
  unsetenv("OMP_NUM_THREADS");
}

}  // namespace
}  // namespace adder
