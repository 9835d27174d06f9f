#include "adder/base/draw.h"

#include <cstring>

#include "adder/kernels/cuda/test_device.h"

namespace adder::kernels {
namespace {

using testing::check;
using testing::DeviceMemory;

TEST(CudaDraw, TheBitsAreTheProcessors) {
  ADDER_NEEDS_DEVICE();
  const testing::TestWork work;
  constexpr int64_t kCount = 3'000'001;
  for (const Draw& what : {Draw{Draw::Kind::kUniform, -0.03, 0.02, 7, 0x123456789abcdef0},
                           Draw{Draw::Kind::kNormal, 0.02, 0, 0xfedcba9876543210, 99}}) {
    const DeviceMemory memory(kCount * 4);
    ASSERT_EQ(cuda::draw(what, kCount, static_cast<float*>(memory.data()), work), nullptr);
    std::vector<float> found(kCount), expected(kCount);
    check(cudaMemcpy(found.data(), memory.data(), kCount * 4, cudaMemcpyDeviceToHost));
    draw(what, 0, kCount, expected.data());
    int64_t different = 0;
    for (size_t i = 0; i < kCount; ++i)
      different += std::memcmp(&found[i], &expected[i], 4) != 0 ? 1 : 0;
    EXPECT_EQ(different, 0);
    EXPECT_TRUE(memory.guard_untouched());
  }
}

}  // namespace
}  // namespace adder::kernels
