#include "adder/ops/view.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <thread>

namespace adder::ops {
namespace {

TEST(TorchPool, HalvesRunAtTheSameTime) {
  if (at::get_num_threads() < 2) GTEST_SKIP() << "skipped: LibTorch has one thread";
  std::atomic<int> arrived = 0;
  std::atomic<bool> met = false;
  torch_pool().run(2, 1, [&](int64_t begin, int64_t end) {
    arrived += static_cast<int>(end - begin);
    // Where the caller runs all of it, the first half waits in vain.
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (arrived < 2 && std::chrono::steady_clock::now() < give_up) std::this_thread::yield();
    if (end - begin == 1 && arrived == 2) met = true;
  });
  EXPECT_TRUE(met);
}

}  // namespace
}  // namespace adder::ops
