// Rows of neighbouring elements on the device: vectors of them as float, sums over the threads of a
// row.
#pragma once

#include <type_traits>

#include "adder/kernels/cuda/device.h"

namespace adder::kernels::cuda {

inline constexpr int kWarpSize = 32;

template <int kBytes>
struct WordsOf;
template <>
struct WordsOf<16> {
  using Type = uint4;
};
template <>
struct WordsOf<8> {
  using Type = uint2;
};
template <>
struct WordsOf<4> {
  using Type = uint32_t;
};
template <>
struct WordsOf<2> {
  using Type = uint16_t;
};

/// kCount neighbours of type T (float or bf16) as they lie in memory: one load, one store.
template <typename T, int kCount>
using Packed = typename WordsOf<kCount * sizeof(T)>::Type;

template <typename T, int kCount>
__device__ __forceinline__ Packed<T, kCount> load(const T* from) {
  return *reinterpret_cast<const Packed<T, kCount>*>(from);
}

/// For what is read once, or again at once by a neighbour: it leaves the caches first, and so makes
/// room.
template <typename T, int kCount>
__device__ __forceinline__ Packed<T, kCount> load_once(const T* from) {
  return __ldcs(reinterpret_cast<const Packed<T, kCount>*>(from));
}

template <typename T, int kCount>
__device__ __forceinline__ void unpack(const Packed<T, kCount>& packed, float (&to)[kCount]) {
  if constexpr (std::is_same_v<T, float>) {
    const float* from = reinterpret_cast<const float*>(&packed);
#pragma unroll
    for (int i = 0; i < kCount; ++i) to[i] = from[i];
  } else if constexpr (kCount == 1) {
    to[0] = __uint_as_float(static_cast<uint32_t>(packed) << 16);
  } else {
    const uint32_t* pairs = reinterpret_cast<const uint32_t*>(&packed);
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i) {
      to[2 * i] = __uint_as_float(pairs[i] << 16);
      to[2 * i + 1] = __uint_as_float(pairs[i] & 0xffff0000u);
    }
  }
}

template <typename T, int kCount>
__device__ __forceinline__ Packed<T, kCount> pack(const float (&from)[kCount]) {
  Packed<T, kCount> packed;
  if constexpr (std::is_same_v<T, float>) {
    float* words = reinterpret_cast<float*>(&packed);
#pragma unroll
    for (int i = 0; i < kCount; ++i) words[i] = from[i];
  } else if constexpr (kCount == 1) {
    packed = __bfloat16_as_ushort(__float2bfloat16_rn(from[0]));
  } else {
    __nv_bfloat162* pairs = reinterpret_cast<__nv_bfloat162*>(&packed);
#pragma unroll
    for (int i = 0; i < kCount / 2; ++i)
      pairs[i] = __floats2bfloat162_rn(from[2 * i], from[2 * i + 1]);
  }
  return packed;
}

/// By one instruction: the compiler cuts a plain assignment in words of 4 bytes where it likes.
template <typename T, int kCount>
__device__ __forceinline__ void store(T* to, const float (&from)[kCount]) {
  __stwb(reinterpret_cast<Packed<T, kCount>*>(to), pack<T, kCount>(from));
}

/// As load_once().
template <typename T, int kCount>
__device__ __forceinline__ void store_once(T* to, const float (&from)[kCount]) {
  __stcs(reinterpret_cast<Packed<T, kCount>*>(to), pack<T, kCount>(from));
}

/// Can a view be read in vectors of `count`: base, strides and width divide?
template <int Rank>
bool in_vectors(const View<Rank>& view, int64_t count) {
  if (!view.given()) return true;
  bool fits = reinterpret_cast<uintptr_t>(view.data) % (count * size_of(view.dtype)) == 0 &&
              view.size[Rank - 1] % count == 0;
  for (int d = 0; d + 1 < Rank; ++d)
    fits = fits && (view.size[d] <= 1 || view.stride[d] % count == 0);
  return fits;
}

template <typename... Views>
bool all_in_vectors(int64_t count, const Views&... views) {
  return (in_vectors(views, count) && ...);
}

__device__ __forceinline__ float warp_sum(float value) {
#pragma unroll
  for (int lanes = kWarpSize / 2; lanes > 0; lanes /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, lanes);
  return value;
}

/// The sums over the `warps` neighbouring warps of a block that share its row, the same in each of
/// their threads. kSlots: a block may hold several rows, which wait for no others; else the row is
/// all of it. (A kernel that names barriers by number holds all 16, so that few of its blocks fit
/// on a multiprocessor.) `turn`: of another parity than in the call before.
template <bool kSlots, int kSums>
__device__ __forceinline__ void row_sums(float (&sums)[kSums], int warps, int turn) {
#pragma unroll
  for (int i = 0; i < kSums; ++i) sums[i] = warp_sum(sums[i]);
  if (warps == 1) return;
  __shared__ float of_warp[2][kWarpSize][kSums];
  const int warp = static_cast<int>(threadIdx.x) / kWarpSize, row = kSlots ? warp / warps : 0;
  if (threadIdx.x % kWarpSize == 0)
    for (int i = 0; i < kSums; ++i) of_warp[turn % 2][warp][i] = sums[i];
  if constexpr (kSlots)  // a barrier of the row's own; 0 is that of __syncthreads()
    asm volatile("bar.sync %0, %1;" ::"r"(row + 1), "r"(warps * kWarpSize) : "memory");
  else
    __syncthreads();
#pragma unroll
  for (int i = 0; i < kSums; ++i) {
    sums[i] = 0;
    for (int w = 0; w < warps; ++w) sums[i] += of_warp[turn % 2][row * warps + w][i];
  }
}

}  // namespace adder::kernels::cuda
