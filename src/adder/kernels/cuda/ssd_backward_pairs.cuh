// What is made of pairs of tokens l <= m, element by element.
#pragma once

#include "adder/kernels/cuda/ssd_backward_tile.cuh"

namespace adder::kernels::cuda {

/// Of a token l of a thread, sums over its m.
struct PairRow {
  float c;         // c_l - log2 Delta_l: e^{c_m - c_l} Delta_l is 2^(c_m - c)
  float per_step;  // 1 / Delta_l
  float later;     // of q[l, m], m > l
  float own;       // q[l, l], where this thread has it
  float diagonal;  // U[l, l], likewise
};
/// A step of none at all counts as one that no sum in f32 sees, for it has a gradient.
__device__ __forceinline__ PairRow pair_row(const ChunkSteps& steps, int l) {
  constexpr float kLeastLogStep = -60;
  const float log_step = fmaxf(lg2(steps.delta[l]), kLeastLogStep);
  return {steps.c[l] - log_step, ex2(-log_step), 0.f, 0.f, 0.f};
}

/// Of tokens l, l + 8 and m, m + 1, m + 8, m + 9, with F[l,m] = Delta_l e^{c_m - c_l}: Z += F U,
/// W = (B_l . C_m) F as an operand A, and the sums over l < m of q = W U. kMasked: not every m >= l
/// of the same document. `scores` are two pieces of B_l . C_m, 32 lanes apart.
template <bool kMasked>
__device__ __forceinline__ void pair_terms(const ChunkSteps& steps, const int* begin,
                                           const float4* scores, int l0, int m0,
                                           const float (&U)[2][4], float (&Z)[2][4],
                                           PairRow (&rows)[2], uint32_t (&all_W)[4],
                                           float* columns) {
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int column = m0 + 8 * i;
    const float2 c = *reinterpret_cast<const float2*>(steps.c + column);
    const int2 first = kMasked ? *reinterpret_cast<const int2*>(begin + column) : int2{};
    const float4 four = scores[32 * i];
    const float score[4] = {four.x, four.y, four.z, four.w};
    float W[4], q[4];
#pragma unroll
    for (int e = 0; e < 4; ++e) {
      const int half = e / 2, l = l0 + 8 * half, m = column + e % 2;
      PairRow& row = rows[half];
      const bool seen = !kMasked || (l <= m && l >= (e % 2 ? first.y : first.x));
      const float decay = seen ? ex2((e % 2 ? c.y : c.x) - row.c) : 0.f;
      W[e] = score[e] * decay;
      Z[i][e] = fmaf(decay, U[i][e], Z[i][e]);
      q[e] = W[e] * U[i][e];
      if (kMasked && l == m) row.own += q[e], row.diagonal += U[i][e], q[e] = 0;
      row.later += q[e];
    }
#pragma unroll
    for (int half = 0; half < 2; ++half)
      all_W[2 * i + half] = pack_bf16(W[2 * half], W[2 * half + 1]);
#pragma unroll
    for (int e = 0; e < 2; ++e) columns[2 * i + e] = q[e] + q[e + 2];
  }
}

/// Of columns 16 block + 8 i + 2t + e of a warp's 16 rows: [4 block + 2 i + e], its thread's rows.
struct ColumnSums {
  float of[16] = {};

  /// Adds the lane that differs in bit 2 kKeep: each of the two keeps one half of the sums.
  template <int kKeep>
  __device__ __forceinline__ void halve() {
    const bool upper = threadIdx.x & (2 * kKeep);
#pragma unroll
    for (int i = 0; i < kKeep; ++i) {
      const float low = of[i], high = of[i + kKeep];
      of[i] = (upper ? high : low) + __shfl_xor_sync(kAllLanes, upper ? low : high, 2 * kKeep);
    }
  }
  /// Adds up the rows of the eight lanes of a column.
  __device__ __forceinline__ void write(float* to) {
    const int lane = threadIdx.x & 31;
    halve<8>(), halve<4>(), halve<2>();
    *reinterpret_cast<float2*>(to + lane / 4 * 8 + lane % 4 * 2) = {of[0], of[1]};
  }
};

}  // namespace adder::kernels::cuda
