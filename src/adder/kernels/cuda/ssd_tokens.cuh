// What is the same for every channel of a head, for a chunk of 64 tokens: the step sizes Delta, the
// sums of the decays, and where documents begin. A warp works on a chunk; lane i holds tokens 2i
// and 2i + 1.
#pragma once

#include <algorithm>
#include <cstdint>

#include "adder/kernels/cuda/device.h"
#include "adder/kernels/cuda/mma.cuh"

namespace adder::kernels::cuda {

inline constexpr int kChunk = 64;
inline constexpr unsigned kAllLanes = 0xffffffffu;

/// dt in memory, and how Delta follows from it.
struct StepSizes {
  const void* dt;  // (batch, length, heads), bf16 or f32
  int64_t batch_stride, token_stride, head_stride;
  const float* bias;  // of a head, or nullptr
  const float* A;
  int64_t bias_stride, A_stride;
  float low, high;
  bool softplus, dt_is_bf16;
};

inline StepSizes step_sizes(const SsdInputs& in) {
  constexpr double kMost = 3.4e38;  // f32
  return {in.dt.data,
          in.dt.stride[0],
          in.dt.stride[1],
          in.dt.stride[2],
          in.dt_bias.as<float>(),
          in.A.as<float>(),
          in.dt_bias.stride[0],
          in.A.stride[0],
          static_cast<float>(std::clamp(in.dt_min, -kMost, kMost)),
          static_cast<float>(std::clamp(in.dt_max, -kMost, kMost)),
          in.dt_softplus,
          in.dt.dtype == DType::bf16};
}

/// dt + bias of one token and head.
__device__ __forceinline__ float raw_step(const StepSizes& sizes, int64_t batch, int64_t token,
                                          int64_t head) {
  const int64_t at =
      batch * sizes.batch_stride + token * sizes.token_stride + head * sizes.head_stride;
  const float dt = sizes.dt_is_bf16
                       ? __bfloat162float(static_cast<const __nv_bfloat16*>(sizes.dt)[at])
                       : static_cast<const float*>(sizes.dt)[at];
  return sizes.bias == nullptr ? dt : dt + sizes.bias[head * sizes.bias_stride];
}

/// log(1 + e^x) = max(x, 0) + 2 artanh(t / (2 + t)), t = e^-|x|, by its series; without branches,
/// so that some can be found at once.
__device__ __forceinline__ float softplus(float x) {
  const float t = __expf(-fabsf(x)), z = __fdividef(t, 2.f + t), square = z * z;
  float series = 1.f / 13;
#pragma unroll
  for (int n = 11; n > 0; n -= 2) series = series * square + 1.f / static_cast<float>(n);
  return fmaxf(x, 0.f) + 2 * z * series;
}
/// Delta before it is limited to [low, high].
__device__ __forceinline__ float unlimited_step(const StepSizes& sizes, float raw) {
  const float soft = softplus(raw);
  return sizes.softplus ? soft : raw;
}
__device__ __forceinline__ float step_of(const StepSizes& sizes, float raw) {
  const float step = unlimited_step(sizes, raw);  // a NaN stays one
  return step < sizes.low ? sizes.low : sizes.high < step ? sizes.high : step;
}

/// Documents of a chunk, a bit for each token. Tokens behind the end of the row are padding.
struct Documents {
  uint64_t begins;   // the state is dropped before this token
  uint64_t padding;  // no step at this token, y = 0
};

/// Bits of tokens 0 .. token.
__device__ __forceinline__ uint64_t bits_upto(int token) {
  return ~uint64_t{0} >> (63 - token);
}
/// The last token <= `token` that begins a document, or -1: its document is the carried one.
__device__ __forceinline__ int document_start(uint64_t begins, int token) {
  return 63 - __clzll(static_cast<long long>(begins & bits_upto(token)));
}

/// Of tokens first .. first + 63 of a row of seq_idx (nullptr: all one document); a whole warp
/// asks.
__device__ __forceinline__ Documents chunk_documents(const int32_t* seq_idx, int64_t stride,
                                                     int64_t first, int64_t length) {
  const int lane = threadIdx.x & 31;
  uint32_t begins[2], padding[2];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    const int64_t token = first + half * 32 + lane;
    bool begin = false, pad = token >= length;
    if (seq_idx != nullptr && !pad) {
      const int32_t id = seq_idx[token * stride];
      pad = id < 0;
      begin = token > 0 && !pad && id != seq_idx[(token - 1) * stride];
    }
    begins[half] = __ballot_sync(kAllLanes, begin);
    padding[half] = __ballot_sync(kAllLanes, pad);
  }
  return {begins[0] | uint64_t{begins[1]} << 32, padding[0] | uint64_t{padding[1]} << 32};
}

/// Delta of this lane's two tokens (0 at padding), and c, the running sum of Delta A log2 e from
/// the chunk's start, this token included.
struct TokenPair {
  float delta[2];
  float c[2];
};

/// A decay of 2^-160 and less is none at all in f32; without this limit one such token would take
/// the digits of all sums behind it.
inline constexpr float kLeastLogDecay = -160.f;

/// `begins`: tokens before which the state is dropped, as by such a decay.
__device__ __forceinline__ TokenPair scan_pair(float delta0, float delta1, float A,
                                               uint64_t begins = 0) {
  constexpr float kLog2e = 1.4426950408889634f;
  const int lane = threadIdx.x & 31;
  const auto begin = static_cast<uint32_t>(begins >> 2 * lane);
  const float a0 = begin & 1 ? kLeastLogDecay : fmaxf(delta0 * A * kLog2e, kLeastLogDecay);
  const float a1 = begin & 2 ? kLeastLogDecay : fmaxf(delta1 * A * kLog2e, kLeastLogDecay);
  float sum = a0 + a1;
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const float before = __shfl_up_sync(kAllLanes, sum, step);
    if (lane >= step) sum += before;
  }
  const float before = __shfl_up_sync(kAllLanes, sum, 1);
  return {{delta0, delta1}, {(lane > 0 ? before : 0.f) + a0, sum}};
}

/// dt of this lane's two tokens as it lies in memory: to be loaded early and looked at late.
struct RawPair {
  uint32_t bits[2];
};
/// `at` is the first of the chunk's dt; `tokens` of them are there.
__device__ __forceinline__ RawPair raw_pair(const StepSizes& sizes, int64_t at, int64_t tokens) {
  RawPair pair{};
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int token = 2 * (threadIdx.x & 31) + i;
    if (token >= tokens) continue;
    const int64_t place = at + token * sizes.token_stride;
    pair.bits[i] = sizes.dt_is_bf16 ? static_cast<const uint16_t*>(sizes.dt)[place]
                                    : static_cast<const uint32_t*>(sizes.dt)[place];
  }
  return pair;
}

/// What a head's step sizes follow from.
struct HeadSteps {
  int64_t dt;  // the first token's place
  float bias, A;
};
__device__ __forceinline__ HeadSteps head_steps(const StepSizes& sizes, int64_t batch,
                                                int64_t first, int64_t head) {
  return {batch * sizes.batch_stride + first * sizes.token_stride + head * sizes.head_stride,
          sizes.bias == nullptr ? 0.f : sizes.bias[head * sizes.bias_stride],
          sizes.A[head * sizes.A_stride]};
}

/// Decays that pass the beginning of a document are 0. (Padding is cut out of the bits, so that no
/// branch stands between the two tokens' steps.)
__device__ __forceinline__ TokenPair chunk_tokens(const StepSizes& sizes, const RawPair& pair,
                                                  const HeadSteps& head,
                                                  const Documents& documents) {
  const int token = 2 * (threadIdx.x & 31);
  float delta[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const uint32_t bits = sizes.dt_is_bf16 ? pair.bits[i] << 16 : pair.bits[i];
    const float step = step_of(sizes, __uint_as_float(bits) + head.bias);
    const uint32_t kept = documents.padding >> (token + i) & 1 ? 0 : ~uint32_t{0};
    delta[i] = __uint_as_float(__float_as_uint(step) & kept);
  }
  return scan_pair(delta[0], delta[1], head.A, documents.begins);
}

}  // namespace adder::kernels::cuda
