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

/// Two bf16 times the weights of their tokens: rounded once, but for the second parts.
__device__ __forceinline__ uint32_t weigh(uint32_t x, WeightPair weights) {
  const auto pair = [](uint32_t bits) { return *reinterpret_cast<__nv_bfloat162*>(&bits); };
  const __nv_bfloat162 second = __hmul2(pair(x), pair(weights.y));
  const __nv_bfloat162 sum = __hfma2(pair(x), pair(weights.x), second);
  return *reinterpret_cast<const uint32_t*>(&sum);
}
/// 16 tokens of X times their weights. x: X^T as operand A, or (kAsB) X as two operands B.
template <bool kAsB>
__device__ __forceinline__ void weigh_tokens(uint32_t (&x)[4], const WeightPair* weights) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
    x[i] = weigh(x[i], weights[threadIdx.x % 4 + (kAsB ? i % 2 : i / 2) * 4]);
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

/// Whether the factored form's weights would pass what f32 and the tensor cores can hold. `first`,
/// `last`: c of the chunk's ends.
__device__ __forceinline__ bool too_wide(const TokenPair& tokens, float first, float last) {
  const int lane = threadIdx.x & 31;
  const float together = fabsf(__shfl_sync(kAllLanes, tokens.c[1], lane | 7) -
                               __shfl_sync(kAllLanes, tokens.c[0], lane & ~7));
  const bool fits = fabsf(last - first) <= kWidest & together <= kWidestTogether;
  return __any_sync(kAllLanes, !fits);  // NaN does not fit
}

/// The same as a warp finds it: what a lane's two tokens add, and what all lanes know.
struct LaneVectors {
  WeightPair weight;
  float2 row, c, source;
  float scale_in, scale_carried, scale_out;
  bool by_pairs;
};

/// A warp, whose lanes hold the tokens.
__device__ __forceinline__ LaneVectors find_vectors(const TokenPair& tokens,
                                                    const Documents& documents) {
  LaneVectors v;
  const float c_first = __shfl_sync(kAllLanes, tokens.c[0], 0);
  const float c_last = __shfl_sync(kAllLanes, tokens.c[1], 31);
  v.by_pairs = too_wide(tokens, c_first, c_last) || documents.begins != 0;
  const float anchor = v.by_pairs ? c_last : 0.5f * (c_first + c_last);
  const float base = v.by_pairs ? 0.f : anchor;
  v.weight = weight_pair(tokens.delta[0] * ex2(anchor - tokens.c[0]),
                         tokens.delta[1] * ex2(anchor - tokens.c[1]));
  v.row = {ex2(tokens.c[0] - base), ex2(tokens.c[1] - base)};
  v.scale_in = ex2(base), v.scale_carried = ex2(c_last);
  v.scale_out = ex2(c_last - anchor);
  if (v.by_pairs) {
    v.c = {tokens.c[0], tokens.c[1]};
    v.source = {v.c.x - lg2(tokens.delta[0]), v.c.y - lg2(tokens.delta[1])};
  }
  return v;
}
__device__ __forceinline__ void store_vectors(ChunkVectors& to, const LaneVectors& v,
                                              const Documents& documents) {
  const int lane = threadIdx.x & 31;
  to.weight[lane] = v.weight;
  reinterpret_cast<float2*>(to.row)[lane] = v.row;
  if (v.by_pairs) {
    reinterpret_cast<float2*>(to.c)[lane] = v.c;
    reinterpret_cast<float2*>(to.source)[lane] = v.source;
  }
  if (lane == 0) {
    to.scale_in = v.scale_in, to.scale_carried = v.scale_carried, to.scale_out = v.scale_out;
    to.by_pairs = v.by_pairs;
    to.documents = documents;
  }
}

}  // namespace adder::kernels::cuda
