// What the forward pass multiplies the tokens of a chunk with, for one head: the decays, in the
// factored form of ssd_forward_mma.cuh where that is safe, else for pairs of tokens.
#pragma once

#include "adder/kernels/cuda/ssd_tokens.cuh"

namespace adder::kernels::cuda {

/// |c_last - c_first| up to which the factored form is safe in f32: 120 in units of log2 e, each
/// factor at most e^60.
inline constexpr float kWidest = 120 * 1.4426950408889634f;
/// The same of 16 tokens that one product takes together. Tensor cores align the terms of a sum by
/// their exponents, and count a zero of M (a later token) as 2^-127: times 2^100 of weight it must
/// not push the row's true terms out of the sum's 24 digits.
inline constexpr float kWidestTogether = 100;

/// The weights of two tokens, each as the sum of two bf16: {first parts, second parts}.
using WeightPair = uint2;

__device__ __forceinline__ WeightPair weight_pair(float w0, float w1) {
  const uint32_t first = pack_bf16(w0, w1);
  return {first, pack_bf16(w0 - low_bf16(first), w1 - high_bf16(first))};
}

/// 16 tokens of X times their weights: rounded once, but for the second parts. x: X^T as operand A,
/// or (kAsB) X as two operands B.
template <bool kAsB>
__device__ __forceinline__ void weigh_tokens(uint32_t (&x)[4], const WeightPair* weights) {
  const auto pair = [](uint32_t bits) { return *reinterpret_cast<__nv_bfloat162*>(&bits); };
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const WeightPair w = weights[threadIdx.x % 4 + (kAsB ? i % 2 : i / 2) * 4];
    const __nv_bfloat162 sum = __hfma2(pair(x[i]), pair(w.x), __hmul2(pair(x[i]), pair(w.y)));
    x[i] = *reinterpret_cast<const uint32_t*>(&sum);
  }
}

struct ChunkVectors {
  WeightPair weight[kChunk / 2];  // of x in the state
  float row[kChunk];              // of the carried state in y; of all of y in the factored form
  float c[kChunk];                // by pairs only
  float source[kChunk];           // by pairs only: c - log2 Delta
  float scale_in, scale_carried, scale_out;  // of the state before, within and after the chunk
  bool by_pairs;
  Documents documents;
};

/// Whether the factored form's weights would pass what f32 and the tensor cores can hold.
__device__ __forceinline__ bool too_wide(const TokenPair& tokens) {
  const int lane = threadIdx.x & 31;
  const auto width = [&](int first, int last) {
    return fabsf(__shfl_sync(kWarp, tokens.c[1], last) - __shfl_sync(kWarp, tokens.c[0], first));
  };
  const bool fits = width(0, 31) <= kWidest && width(lane & ~7, lane | 7) <= kWidestTogether;
  return __any_sync(kWarp, !fits);  // NaN does not fit
}

/// A warp, whose lanes hold the tokens; kept in v where `keeps`.
__device__ __forceinline__ void fill_vectors(ChunkVectors& v, const TokenPair& tokens,
                                             const Documents& documents, bool keeps) {
  const bool by_pairs = documents.begins != 0 || too_wide(tokens);
  const float c_first = __shfl_sync(kWarp, tokens.c[0], 0);
  const float c_last = __shfl_sync(kWarp, tokens.c[1], 31);
  const float anchor = by_pairs ? c_last : 0.5f * (c_first + c_last);
  const int lane = threadIdx.x & 31;
  float weight[2], row[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    weight[i] = tokens.delta[i] * ex2(anchor - tokens.c[i]);
    row[i] = ex2(by_pairs ? tokens.c[i] : tokens.c[i] - anchor);
  }
  const int kept_from = documents.begins == 0 ? -1 : document_start(documents.begins, kChunk - 1);
  if (by_pairs) {
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int token = 2 * lane + i;
      if (token < kept_from) weight[i] = 0;
      if (document_start(documents.begins, token) >= 0) row[i] = 0;
      if (!keeps) continue;
      v.c[token] = tokens.c[i];
      v.source[token] = tokens.c[i] - lg2(tokens.delta[i]);
    }
  }
  if (!keeps) return;
  v.weight[lane] = weight_pair(weight[0], weight[1]);
  *reinterpret_cast<float2*>(&v.row[2 * lane]) = {row[0], row[1]};
  if (lane == 0) {
    v.scale_in = by_pairs ? 1.f : ex2(anchor);
    v.scale_carried = kept_from < 0 ? ex2(c_last) : 0.f;
    v.scale_out = by_pairs ? 1.f : ex2(c_last - anchor);
    v.by_pairs = by_pairs;
    v.documents = documents;
  }
}

}  // namespace adder::kernels::cuda
