// What every source of this folder stands on: the stream of a call, answers, grids.
#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "adder/kernels/cuda_kernels.h"

namespace adder::kernels::cuda {

inline cudaStream_t stream_of(const DeviceWork& work) {
  return static_cast<cudaStream_t>(work.stream());
}

/// cudaSuccess as nullptr, else CUDA's words, which live as long as the program.
inline DeviceAnswer answer(cudaError_t error) {
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

/// Of the launch just made.
inline DeviceAnswer launched() {
  return answer(cudaGetLastError());
}

template <typename T>
T* take(const DeviceWork& work, int64_t count) {
  return static_cast<T*>(work.take(count * static_cast<int64_t>(sizeof(T))));
}

constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

/// Of the current device; 0 if it does not answer.
inline int device_attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  const bool answered = cudaGetDevice(&device) == cudaSuccess &&
                        cudaDeviceGetAttribute(&value, which, device) == cudaSuccess;
  return answered ? value : 0;
}

inline bool is_hopper() {
  return device_attribute(cudaDevAttrComputeCapabilityMajor) == 9;
}

/// How many blocks of this size the device runs at once; 1 if it does not answer.
template <typename Kernel>
int64_t blocks_at_once(Kernel kernel, int threads, int64_t shared_bytes) {
  int of_processor = 0;
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&of_processor, kernel, threads, shared_bytes);
  const int64_t blocks = of_processor * device_attribute(cudaDevAttrMultiProcessorCount);
  return blocks > 0 ? blocks : 1;
}

}  // namespace adder::kernels::cuda
