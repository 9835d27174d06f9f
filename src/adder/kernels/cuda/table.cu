#include "adder/kernels/cuda/device.h"
#include "adder/kernels/cuda/functions.h"

namespace adder::kernels::cuda {

DeviceAnswer device_info(int32_t device, DeviceInfo& info) {
  cudaDeviceProp found;
  if (const DeviceAnswer wrong = answer(cudaGetDeviceProperties(&found, device))) return wrong;
  for (size_t i = 0; i < sizeof(info.name); ++i) info.name[i] = found.name[i];
  info.major = found.major;
  info.minor = found.minor;
  info.multiprocessors = found.multiProcessorCount;
  info.memory_bytes = static_cast<int64_t>(found.totalGlobalMem);
  info.l2_bytes = found.l2CacheSize;
  return nullptr;
}

namespace {

constexpr CudaKernels kTable = {
    kCudaKernelsVersion,
    device_info,
    ssd,
    ssd_backward,
    ssd_update,
    causal_conv1d,
    causal_conv1d_backward,
    causal_conv1d_update,
    rms_norm,
    rms_norm_backward,
    gated_rms_norm,
    gated_rms_norm_backward,
    cross_entropy_tile,
    embedding,
    embedding_backward,
    swiglu,
    swiglu_backward,
    rotary,
    draw,
    gradient_norm,
    adamw,
};

}  // namespace
}  // namespace adder::kernels::cuda

extern "C" __attribute__((visibility("default"))) const adder::kernels::CudaKernels*
adder_cuda_kernels() {
  return &adder::kernels::cuda::kTable;
}
