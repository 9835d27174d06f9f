// What a head of the Hopper forward does with a chunk of 64 tokens. With c the running sum of
// Delta A log2 e in the chunk and m = (c_first + c_last) / 2, all of it as rows of channels:
//
//   M   = lowertri(C B^T)                        no decay in it: the heads of a group share it
//   X~  = X^T o (Delta_s 2^(m - c_s))
//   Y^T = (2^m S) C^T + X~ M^T                   y_l = 2^(c_l - m) Y^T_l + D x_l
//   S  <- 2^(c_last - m) (2^m S + X~ B)
//
// No exponent is larger than half the decay of the chunk. Where that is still too much, the same is
// done with one half of the chunk after the other; and where it is too much for a half, or
// documents begin inside the chunk, the decays of pairs of tokens are taken one by one
// (ssd_direct_sm90.cuh).
#pragma once

#include "adder/kernels/cuda/ssd_cta_sm90.cuh"

namespace adder::kernels::cuda {

/// A chunk in shared memory, as one head's warpgroup finds it.
struct ChunkTiles {
  uint32_t C, B;  // N / 64 tiles each
  Tile<64> x, z;  // of this head
  Tile<64> M;
};

/// A head's warpgroup, and the y of the chunk before, which waits in registers for a moment when
/// the tensor cores are busy.
struct HeadOutput {
  uint32_t tiles;    // two, of y on its way to global memory: of even chunks, of odd ones
  uint32_t sent;     // two barriers: the tile may be written again
  float skip[2];     // D of channels 16 w + g and + 8
  int barrier;       // of this warpgroup
  int warp;          // of the four
  uint32_t y[4][4];  // transposed: like load_channels() of 16 tokens each
  int chunk;         // the one whose y waits; -1: none yet

  __device__ __forceinline__ Tile<64> tile(int chunk) const {
    return {tiles + chunk % 2 * kTileBytes};
  }
  __device__ __forceinline__ void wait_tile(int chunk) const {
    wait_phase(sent + chunk % 2 * 8, chunk / 2 % 2 ^ 1);
  }
};

/// X^T of 16 tokens as operand A of this warp's channels.
__device__ __forceinline__ void load_channels(uint32_t (&x)[4], Tile<64> tile, int warp,
                                              int token) {
  tile.load_a_transposed(x, token, warp * 16);
}

/// The two columns (tokens) of accumulator pair `pair` (of 8 columns each) that this thread holds.
__device__ __forceinline__ float2 columns_of(const float* values, int pair) {
  return *reinterpret_cast<const float2*>(values + pair * 8 + threadIdx.x % 4 * 2);
}

/// The weights of two tokens, each as the sum of two bf16: first parts, second parts.
__device__ __forceinline__ float2 in_two_parts(float w0, float w1) {
  const uint32_t first = pack_bf16(w0, w1);
  const uint32_t second = pack_bf16(w0 - low_bf16(first), w1 - high_bf16(first));
  return {__uint_as_float(first), __uint_as_float(second)};
}

/// Two bf16 times two weights in_two_parts(), rounded once (but for what the second parts weigh).
__device__ __forceinline__ uint32_t weigh(uint32_t x, float2 weights) {
  const auto pair = [](uint32_t bits) { return *reinterpret_cast<__nv_bfloat162*>(&bits); };
  const __nv_bfloat162 second = __hmul2(pair(x), pair(__float_as_uint(weights.y)));
  __nv_bfloat162 sum = __hfma2(pair(x), pair(__float_as_uint(weights.x)), second);
  return *reinterpret_cast<uint32_t*>(&sum);
}

/// s *= due, then y = S C^T of some tokens, given to the tensor cores: by halves, so that one is
/// multiplied while the other is rounded.
template <int N, int kTokens>
__device__ __forceinline__ void multiply_state(Accumulator<kTokens>& y, Accumulator<N>& s,
                                               float due, Operand C) {
  constexpr int kHalf = N / 32;  // steps of 16 columns
  uint32_t rounded[2][kHalf][4];
#pragma unroll
  for (int half = 0; half < 2; ++half) {
#pragma unroll
    for (int i = 0; i < kHalf * 4; ++i) {
      float* pair = s + (half * kHalf * 4 + i) * 2;
      pair[0] *= due, pair[1] *= due;
      rounded[half][i / 4][i % 4] = pack_bf16(pair[0], pair[1]);
    }
    pin(rounded[half]);
    wgmma_fence();
#pragma unroll
    for (int i = 0; i < kHalf; ++i) {
      const int k = half * kHalf + i;
      wgmma<false>(y, rounded[half][i], C.at(k / 4 * kTileBytes + k % 4 * 32), k > 0);
    }
  }
  wgmma_commit();
}
/// y += X M^T
template <int kTokens>
__device__ __forceinline__ void multiply_scores(Accumulator<kTokens>& y,
                                                const uint32_t (&x)[kTokens / 16][4], Operand M) {
#pragma unroll
  for (int k = 0; k < kTokens / 16; ++k) wgmma<false>(y, x[k], M.at(k * 32), true);
}
/// S += X B
template <int N, int kSteps>
__device__ __forceinline__ void add_inputs(Accumulator<N>& s, const uint32_t (&x)[kSteps][4],
                                           Operand B) {
#pragma unroll
  for (int k = 0; k < kSteps; ++k) wgmma<true>(s, x[k], B.at(k * 2048), true);
}

/// This thread's first place in a head's dense state (64, N).
template <int N, typename Float2>
__device__ __forceinline__ Float2* state_place(Float2* state, int warp) {
  const int lane = threadIdx.x & 31;
  return state + ((16 * warp + lane / 4) * N + lane % 4 * 2) / 2;
}
/// nullptr: zeros.
template <int N>
__device__ __forceinline__ void load_state(Accumulator<N>& s, const float* state, int warp) {
  const float2* place = state_place<N>(reinterpret_cast<const float2*>(state), warp);
#pragma unroll
  for (int i = 0; i < N / 4; ++i) {  // i / 2: 8 columns; i % 2: row g or g + 8
    const float2 pair = state == nullptr ? float2{0.f, 0.f} : place[i % 2 * 4 * N + i / 2 * 4];
    s[2 * i] = pair.x, s[2 * i + 1] = pair.y;
  }
}
template <int N>
__device__ __forceinline__ void store_state(const Accumulator<N>& s, float factor, float* state,
                                            int warp) {
  float2* place = state_place<N>(reinterpret_cast<float2*>(state), warp);
#pragma unroll
  for (int i = 0; i < N / 4; ++i)
    place[i % 2 * 4 * N + i / 2 * 4] = float2{s[2 * i] * factor, s[2 * i + 1] * factor};
}

__device__ __forceinline__ float silu(float z) {
  return __fdividef(z, 1.f + __expf(-z));
}

/// The waiting y to its tile. What copies it out is told by the end of the next chunk.
__device__ __forceinline__ void send_output(HeadOutput& out) {
  if (out.chunk >= 0) {
    out.wait_tile(out.chunk);
    const int lane = threadIdx.x & 31;
    const uint32_t cell =
        out.tile(out.chunk).cell((lane & 7) + (lane >> 4) * 8, out.warp * 2 + ((lane >> 3) & 1));
#pragma unroll
    for (int k = 0; k < 4; ++k) store_matrices_transposed(cell + k * 16 * 128, out.y[k]);
  }
  ++out.chunk;
}

/// y_l = factor(l) Y_l + D x_l, gated, of 16 tokens, x being their load_channels(); kDirect: 0 at
/// padding. Y begins at `y`.
template <bool kGated, bool kDirect>
__device__ __forceinline__ void finish_output(HeadOutput& out, int k, const float* y,
                                              const uint32_t (&x)[4], const float2* factor,
                                              const ChunkTiles& tiles, const HeadTokens& tokens) {
  uint32_t z[4];
  if constexpr (kGated) load_channels(z, tiles.z, out.warp, 16 * k);
#pragma unroll
  for (int i = 0; i < 4; ++i) {  // i % 2: row g or g + 8; i / 2: columns 0-7 or 8-15
    const float D = out.skip[i % 2];
    float y0 = y[2 * i] * factor[i / 2].x + D * low_bf16(x[i]);
    float y1 = y[2 * i + 1] * factor[i / 2].y + D * high_bf16(x[i]);
    if constexpr (kGated) y0 *= silu(low_bf16(z[i])), y1 *= silu(high_bf16(z[i]));
    if constexpr (kDirect) {
      const auto padding = tokens.documents.padding >> (16 * k + i / 2 * 8 + threadIdx.x % 4 * 2);
      y0 = padding & 1 ? 0.f : y0, y1 = padding & 2 ? 0.f : y1;
    }
    out.y[k][i] = pack_bf16(y0, y1);
  }
}

/// A chunk, or a half of it (kPart), by factors; s is S but for `due` (with 2^m), then the new S
/// but for 2^(c_last - m).
template <int N, int kTokens, int kPart, bool kGated>
__device__ __forceinline__ void factored_part(Accumulator<N>& s, float due, const ChunkTiles& tiles,
                                              const HeadTokens& tokens, HeadOutput& out) {
  constexpr int kSteps = kTokens / 16, kFirst = kPart * kSteps, kPairs = kTokens / 8;
  uint32_t x[kSteps][4], weighed[kSteps][4];
  float2 weight[kPairs], factor[kPairs];
  Accumulator<kTokens> y;
#pragma unroll
  for (int k = 0; k < kSteps; ++k) load_channels(x[k], tiles.x, out.warp, 16 * (kFirst + k));
#pragma unroll
  for (int i = 0; i < kPairs; ++i) weight[i] = columns_of(tokens.weight, kPart * kPairs + i);
  multiply_state<N, kTokens>(y, s, due, rows_operand(tiles.C).at(kPart * kTokens * 128));
#pragma unroll
  for (int i = 0; i < kTokens / 4; ++i)
    weighed[i / 4][i % 4] = weigh(x[i / 4][i % 4], weight[i / 4 * 2 + i % 4 / 2]);
  pin(weighed);
  pin(s);
  wgmma_fence();
  multiply_scores<kTokens>(y, weighed,
                           rows_operand(tiles.M.address).at(kPart * (kTokens * 128 + kTokens * 2)));
  wgmma_commit();
  add_inputs<N>(s, weighed, columns_operand(tiles.B).at(kFirst * 2048));
  wgmma_commit();
  if (kPart == 0) send_output(out);
#pragma unroll
  for (int i = 0; i < kPairs; ++i) factor[i] = columns_of(tokens.decay, kPart * kPairs + i);
  wgmma_wait<1>();
  pin(y);
#pragma unroll
  for (int k = 0; k < kSteps; ++k)
    finish_output<kGated, false>(out, kFirst + k, y + 8 * k, x[k], factor + 2 * k, tiles, tokens);
  wgmma_wait<0>();
  pin(s);
}

}  // namespace adder::kernels::cuda
