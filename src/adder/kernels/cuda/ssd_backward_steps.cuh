// What the tokens of a chunk are to a head in the backward pass, as one warp finds it.
#pragma once

#include "adder/kernels/cuda/ssd_backward_mma.cuh"

namespace adder::kernels::cuda {

/// Of a chunk, this lane's tokens: 2 lane and 2 lane + 1.
struct PairDocuments {
  bool padding[2];
  bool first[2], last[2];  // whether it is of the document that enters the chunk, that leaves it
  bool one;                // no document begins in the chunk
};
__device__ __forceinline__ PairDocuments pair_documents(const Documents& documents) {
  PairDocuments pair = {{}, {true, true}, {true, true}, documents.begins == 0};
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int token = 2 * (threadIdx.x & 31) + i;
    pair.padding[i] = documents.padding >> token & 1;
    if (pair.one) continue;
    pair.first[i] = document_start(documents.begins, token) < 0;
    pair.last[i] = token >= document_start(documents.begins, kChunk - 1);
  }
  return pair;
}

/// Of a chunk and head.
struct StepPair {
  TokenPair tokens;
  float raw[2];     // dt + bias
  bool follows[2];  // Delta follows dt: no limit holds it
  float to_end[2], from_start[2];
  float carried;

  /// `direction` as in ChunkSteps::weight.
  __device__ __forceinline__ float weight(bool direction, int i) const {
    return direction ? from_start[i] : tokens.delta[i] * to_end[i];
  }
  /// d Delta / d dt
  __device__ __forceinline__ float slope(const StepSizes& sizes, int i) const {
    const float slope = sizes.softplus ? __fdividef(1.f, 1.f + __expf(-raw[i])) : 1.f;
    return follows[i] ? slope : 0.f;
  }
};

/// Of some heads at once, so that their instructions run side by side.
template <int kHeads>
__device__ __forceinline__ void step_pairs(const StepSizes& sizes, const RawPair (&dt)[kHeads],
                                           const HeadSteps (&heads)[kHeads],
                                           const PairDocuments& documents,
                                           StepPair (&pairs)[kHeads]) {
  float free[kHeads][2], c_end[kHeads];
  const auto for_tokens = [&](const auto& f) {
#pragma unroll
    for (int i = 0; i < 2 * kHeads; ++i) f(pairs[i / 2], i / 2, i % 2);
  };
  for_tokens([&](StepPair& pair, int h, int i) {
    const uint32_t bits = sizes.dt_is_bf16 ? dt[h].bits[i] << 16 : dt[h].bits[i];
    free[h][i] = pair.raw[i] = __uint_as_float(bits) + heads[h].bias;
  });
  if (sizes.softplus)
    for_tokens([&](StepPair&, int h, int i) { free[h][i] = softplus(free[h][i]); });
  for_tokens([&](StepPair& pair, int h, int i) {
    const float step = free[h][i];
    pair.follows[i] = !documents.padding[i] && sizes.low <= step && step <= sizes.high;
    const float limited = step < sizes.low ? sizes.low : sizes.high < step ? sizes.high : step;
    free[h][i] = documents.padding[i] ? 0.f : limited;
  });
#pragma unroll
  for (int h = 0; h < kHeads; ++h) {
    pairs[h].tokens = scan_pair(free[h][0], free[h][1], heads[h].A);
    c_end[h] = __shfl_sync(kAllLanes, pairs[h].tokens.c[1], 31);
    pairs[h].carried = documents.one ? c_end[h] : -INFINITY;
  }
  for_tokens([&](StepPair& pair, int h, int i) {
    const float c = pair.tokens.c[i], to_end = ex2(fminf(c_end[h] - c, 0.f)), in = ex2(c);
    pair.to_end[i] = documents.last[i] ? to_end : 0.f;
    pair.from_start[i] = documents.first[i] ? in : 0.f;
  });
}

__device__ __forceinline__ void write_steps(const StepSizes& sizes, const StepPair& pair, float A,
                                            ChunkSteps& to) {
  const int lane = threadIdx.x & 31;
  const auto write = [&](float(&row)[kChunk], const auto& of) {
    reinterpret_cast<float2*>(row)[lane] = {of(0), of(1)};
  };
  write(to.delta, [&](int i) { return pair.tokens.delta[i]; });
  write(to.c, [&](int i) { return pair.tokens.c[i]; });
  write(to.slope, [&](int i) { return pair.slope(sizes, i); });
  write(to.to_end, [&](int i) { return pair.to_end[i]; });
  write(to.weight[0], [&](int i) { return pair.weight(false, i); });
  write(to.weight[1], [&](int i) { return pair.weight(true, i); });
  if (lane != 0) return;
  to.carried = pair.carried;
  to.A = A;
}

}  // namespace adder::kernels::cuda
