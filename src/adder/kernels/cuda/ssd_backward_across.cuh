// Of w[l, m] = Delta_l q[l, m], for the 16 tokens l of a row of blocks and some blocks of m: the
// sum over l < k <= m for every k, which is how often the decay of token k lies between l and m.
// Sums of whole terms (adding and taking away rows and columns instead would leave the rounding of
// large terms in small sums), taken by the tensor cores against triangles of ones.
#pragma once

#include "adder/kernels/cuda/ssd_backward_mma.cuh"

namespace adder::kernels::cuda {

struct Across {
  float later[4] = {};   // of each row: sum of q over the m of the blocks behind those added
  float total[16] = {};  // of k = 16 block + 8 i + 2t + e: [4 block + 2 i + e], this thread's rows

  /// Blocks in falling order, down to the one on the diagonal. `q` is of a block whose m this warp
  /// has (`own`).
  __device__ __forceinline__ void add(int block, bool own, const uint32_t (&q)[4], bool diagonal,
                                      float delta0, float delta1) {
    const int lane = threadIdx.x & 31, k = lane % 4 * 2, g = lane / 4;
    float of_rows[2][4];
#pragma unroll
    for (int e = 0; e < 4; ++e) of_rows[0][e] = of_rows[1][e] = later[e];
    if (own) {
      // ones where m >= k': rows m = 2t, 2t + 1 and columns k' = g of an 8 x 8 triangle
      constexpr uint32_t kOnes = 0x3f803f80;  // two of bf16
      const uint32_t triangle = (k >= g ? kOnes & 0xffff : 0) | (k + 1 >= g ? kOnes << 16 : 0);
      mma(of_rows[0], q, triangle, kOnes);
      mma(of_rows[1], q, 0, triangle);
      mma(later, q, kOnes, kOnes);
    }
#pragma unroll
    for (int i = 0; i < 2; ++i)
#pragma unroll
      for (int e = 0; e < 2; ++e) {
        const int column = 8 * i + k + e;
        const bool upper = !diagonal || g < column, lower = !diagonal || g + 8 < column;  // l < k
        total[4 * block + 2 * i + e] =
            (upper ? delta0 * of_rows[i][e] : 0.f) + (lower ? delta1 * of_rows[i][e + 2] : 0.f);
      }
  }

  /// Adds the lane that differs in bit 2 kKeep: each of the two keeps one half of the sums.
  template <int kKeep>
  __device__ __forceinline__ void halve() {
    const bool upper = threadIdx.x & (2 * kKeep);
#pragma unroll
    for (int i = 0; i < kKeep; ++i) {
      const float low = total[i], high = total[i + kKeep];
      total[i] = (upper ? high : low) + __shfl_xor_sync(kWarp, upper ? low : high, 2 * kKeep);
    }
  }

  /// Adds up the rows of the eight lanes of a column.
  __device__ __forceinline__ void write(float* to) {
    const int lane = threadIdx.x & 31;
    halve<8>(), halve<4>(), halve<2>();
    *reinterpret_cast<float2*>(to + lane / 4 * 8 + lane % 4 * 2) = {total[0], total[1]};
  }
};

}  // namespace adder::kernels::cuda
