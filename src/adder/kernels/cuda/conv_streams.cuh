// How a thread that walks along a long strip gets its inputs, and how long strips are.
#pragma once

#include <algorithm>

#include "adder/kernels/cuda/conv_strip.cuh"
#include "adder/kernels/cuda/mma.cuh"

namespace adder::kernels::cuda {

/// The rows of kStreams arrays from the first token of a strip on. kRows rows of each are under way
/// while one is worked on: they come by asynchronous copies to a ring in shared memory, in which
/// each thread has places of its own, so that threads need not wait for each other.
template <typename T, int kCount, int kRows, int kStreams>
struct RowStreams {
  using Word = Packed<T, kCount>;
  const T* from[kStreams];  // of the row to be asked for next
  int64_t stride[kStreams];
  Word* ring;

  static int64_t ring_bytes(int threads) {
    return int64_t{kRows} * kStreams * threads * static_cast<int64_t>(sizeof(Word));
  }
  __device__ __forceinline__ RowStreams(const BatchRows<T> (&rows)[kStreams],
                                        const ConvPlace& place, int limit) {
    extern __shared__ uint4 shared[];
    ring = reinterpret_cast<Word*>(shared) + threadIdx.x;
#pragma unroll
    for (int i = 0; i < kStreams; ++i) {
      from[i] = rows[i].at(place.b, place.begin, place.channel);
      stride[i] = rows[i].row_stride;
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) ask(r, place.begin + r < limit);
  }
  /// Row r of this round, zero if it is not `real`; its place takes row r of the next round if
  /// there are `more`.
  __device__ __forceinline__ void take(int r, bool real, bool more, Word (&to)[kStreams]) {
    wait_copies<kRows - 1>();
#pragma unroll
    for (int i = 0; i < kStreams; ++i) {
      to[i] = {};
      if (real) to[i] = *place_of(r, i);
    }
    ask(r, more);
  }

 private:
  __device__ __forceinline__ Word* place_of(int r, int i) const {
    return ring + (r * kStreams + i) * static_cast<int>(blockDim.x);
  }
  __device__ __forceinline__ void ask(int r, bool wanted) {
#pragma unroll
    for (int i = 0; i < kStreams; ++i) {
      if (wanted) copy(place_of(r, i), from[i]);
      from[i] += stride[i];
    }
    commit_copies();
  }
  static __device__ __forceinline__ void copy(Word* to, const T* source) {
    if constexpr (sizeof(Word) == 16)
      copy16_async(shared_address(to), source, true);
    else if constexpr (sizeof(Word) == 8)
      asm volatile("cp.async.ca.shared.global [%0], [%1], 8;" ::"r"(shared_address(to)), "l"(source)
                   : "memory");
    else if constexpr (sizeof(Word) == 4)
      copy4_async(shared_address(to), source);
    else
      *to = load<T, kCount>(source);
  }
};

/// Tokens in a strip, about `wanted`, such that the strips fill the device a whole number of times;
/// fewer where that would leave it idle. `warps_at_once`: strips of one block of channels that run.
inline int strip_for(const Conv1dInputs& in, int count, int wanted, int64_t warps_at_once) {
  constexpr int64_t kLeast = 8;
  const int64_t length = in.x.size[1];
  const int64_t across = ceil_div(in.x.size[2], int64_t{kWarpSize} * count) * in.x.size[0];
  const int64_t rounds = ceil_div(across * ceil_div(length, int64_t{wanted}), warps_at_once);
  const int64_t strips = std::max<int64_t>(1, rounds * warps_at_once / across);
  return static_cast<int>(std::max(kLeast, ceil_div(length, strips)));
}

}  // namespace adder::kernels::cuda
