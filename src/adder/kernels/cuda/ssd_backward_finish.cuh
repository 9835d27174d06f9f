// What the sums over the pairs of tokens of a head and chunk give for the scalars: dt, A, dt_bias
// and D.
#pragma once

#include "adder/kernels/cuda/ssd_backward_tile.cuh"

namespace adder::kernels::cuda {

/// Where the partial sums of a head and chunk lie.
__device__ __forceinline__ int64_t part_of(const Sizes& sizes, const TileOf& tile, int head) {
  return (static_cast<int64_t>(head) * sizes.batch + tile.batch) * sizes.chunks + tile.chunk;
}

/// Gradients of dt, and this chunk's part of those of A and dt_bias; one warp, lane i for tokens 2i
/// and 2i + 1. Token k's decay lies between the state before and m >= k, between l < k and the
/// state after, between the two states, and between l < k and m >= k of the chunk: of those q[l,
/// m], the pairs that begin before k but for those that end before it.
template <typename Sums>
__device__ __forceinline__ void finish_steps(const Tiles& all, const TileOf& tile, const Sums& sums,
                                             const ChunkSteps& steps, int head) {
  const int lane = threadIdx.x & 31;
  const auto pair_of = [&](const float(&row)[kChunk]) {
    return reinterpret_cast<const float2*>(row)[lane];
  };
  const auto sum_of = [&](const auto& rows) {
    float2 sum = {0, 0};
#pragma unroll
    for (const auto& row : rows) sum.x += pair_of(row).x, sum.y += pair_of(row).y;
    return sum;
  };
  const float2 a1 = pair_of(sums.into), state = pair_of(sums.out_of), pairs = sum_of(sums.direct),
               begun = sum_of(sums.later), ended = sum_of(sums.earlier),
               steps_delta = pair_of(steps.delta), steps_slope = pair_of(steps.slope);
  const float into[2] = {a1.x, a1.y}, delta[2] = {steps_delta.x, steps_delta.y},
              slope[2] = {steps_slope.x, steps_slope.y},
              direct[2] = {pairs.x + state.x, pairs.y + state.y},
              past[2] = {delta[0] * state.x + (begun.x - ended.x),
                         delta[1] * state.y + (begun.y - ended.y)};
  float from_here = into[0] + into[1], until_here = past[0] + past[1];
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const float later = __shfl_down_sync(kAllLanes, from_here, step);
    const float earlier = __shfl_up_sync(kAllLanes, until_here, step);
    if (lane + step < 32) from_here += later;
    if (lane >= step) until_here += earlier;
  }
  // Sums of whole terms: taking one away from until_here would leave its rounding.
  float later = __shfl_down_sync(kAllLanes, from_here, 1),
        earlier = __shfl_up_sync(kAllLanes, until_here, 1);
  if (lane == 31) later = 0;
  if (lane == 0) earlier = 0;
  float states = 0;
#pragma unroll
  for (const float part : sums.states) states += part;
  const float end = ex2(steps.carried) * states;
  const float exponent[2] = {from_here + (end + earlier),
                             (later + into[1]) + (end + (earlier + past[0]))};
  float dA = 0, bias = 0;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int token = 2 * lane + i;
    const float gradient = (direct[i] + steps.A * exponent[i]) * slope[i];
    dA += delta[i] * exponent[i];
    bias += gradient;
    if (all.dt == nullptr || tile.first + token >= tile.length) continue;
    const int64_t at = tile.batch * all.dt_batch_stride +
                       (tile.first + token) * all.dt_token_stride + head * all.dt_head_stride;
    if (all.dt_is_bf16) {
      static_cast<__nv_bfloat16*>(all.dt)[at] = __float2bfloat16_rn(gradient);
    } else {
      static_cast<float*>(all.dt)[at] = gradient;
    }
  }
  dA = sum_of_warp(dA), bias = sum_of_warp(bias);
  if (lane != 0) return;
  const int64_t part = part_of(all.sizes, tile, head);
  all.space.dA[part] = dA;
  all.space.dt_bias[part] = bias;
  if (all.channels == 1)
    all.space.dD[part] = (sums.skip[0] + sums.skip[1]) + (sums.skip[2] + sums.skip[3]);
}

/// This chunk's sum of dy x for each channel; a thread a channel.
template <int P>
__device__ __forceinline__ void sum_channels(const Tiles& all, const TileOf& tile,
                                             const AlignedTile<P>& x, const AlignedTile<P>& dy,
                                             int head, int channel) {
  float sum = 0;
  for (int row = 0; row < kChunk; ++row) sum += x.element(row, channel) * dy.element(row, channel);
  const int64_t part = part_of(all.sizes, tile, head);
  all.space.dD[part * P + channel] = sum;
}

}  // namespace adder::kernels::cuda
