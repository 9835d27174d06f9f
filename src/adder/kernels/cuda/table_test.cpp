#include "adder/kernels/cuda/test_device.h"

namespace adder::kernels {
namespace {

TEST(CudaKernels, TheDeviceSaysWhatItIs) {
  ADDER_NEEDS_DEVICE();
  DeviceInfo info;
  ASSERT_EQ(cuda::device_info(0, info), nullptr);
  EXPECT_GE(info.major, 8);
  EXPECT_GT(info.multiprocessors, 0);
  EXPECT_NE(cuda::device_info(1000, info), nullptr);
  cudaGetLastError();
}

}  // namespace
}  // namespace adder::kernels
