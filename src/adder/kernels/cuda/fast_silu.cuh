// silu(x) = x sigmoid(x) by the special function unit: two of its instructions an element, an error
// of a few units in the last place of f32.
#pragma once

namespace adder::kernels::cuda {

__device__ __forceinline__ float fast_sigmoid(float x) {
  float power, result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(x * -1.4426950408889634f));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(1.0f + power));
  return result;
}

__device__ __forceinline__ float fast_silu(float x) {
  return x * fast_sigmoid(x);
}

/// d silu(x) / dx, with s = sigmoid(x).
__device__ __forceinline__ float silu_slope(float x, float s) {
  return s * (1.0f + x * (1.0f - s));
}

}  // namespace adder::kernels::cuda
