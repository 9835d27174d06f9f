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

}  // namespace adder::kernels::cuda
