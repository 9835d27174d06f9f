// What a head of the Hopper forward does with a chunk of 64 tokens. With c the running sum of
// Delta A log2 e in the chunk and m = (c_first + c_last) / 2, all of it as rows of channels:
//
//   M   = lowertri(C B^T)                        no decay in it: the heads of a group share it
//   X~  = X^T o (Delta_s 2^(m - c_s))
//   Y^T = (2^m S) C^T + X~ M^T                   y_l = 2^(c_l - m) Y^T_l + D x_l
//   S  <- 2^(c_last - m) (2^m S + X~ B)
//
// No exponent is larger than half the decay of the chunk. Where that is still too much, or
// documents begin inside the chunk, the decays of pairs of tokens stand in M ("by pairs"):
//
//   M   = lowertri(C B^T) o (Delta_s 2^(c_l - c_s))       X~ = X^T o (Delta_s 2^(c_last - c_s))
//   Y^T = 2^(c_l) (S C^T)_l + X^T M^T                     S <- 2^(c_last) S + X~ B
//
// The factors are found by other warps (ssd_serve_sm90.cuh).
#pragma once

#include "adder/kernels/cuda/ssd_cta_sm90.cuh"

namespace adder::kernels::cuda {

/// A chunk in shared memory, as one head's warpgroup finds it.
struct ChunkTiles {
  uint32_t C, B;  // N / 64 tiles each
  Tile<64> x, z;  // of this head
  uint32_t M;
};

/// A head's warpgroup, and the y of the chunk before, which waits in registers for a moment when
/// the tensor cores are busy. Chunks that are only passed do not count.
struct HeadOutput {
  uint32_t tiles;    // two, of y on its way to global memory: of even chunks, of odd ones
  uint32_t sent;     // two barriers: the tile may be written again
  float skip[2];     // D of channels 16 w + g and + 8
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

__device__ __forceinline__ void load_channels(uint32_t (&x)[4][4], Tile<64> tile, int warp) {
#pragma unroll
  for (int k = 0; k < 4; ++k) load_channels(x[k], tile, warp, 16 * k);
}
/// The weights of the tokens that this thread holds of operand A, 8 pairs.
__device__ __forceinline__ void load_weights(WeightPair (&weights)[8], const ChunkVectors& tokens) {
#pragma unroll
  for (int i = 0; i < 8; ++i) weights[i] = tokens.weight[threadIdx.x % 4 + 4 * i];
}
__device__ __forceinline__ void weigh_channels(uint32_t (&weighed)[4][4], const uint32_t (&x)[4][4],
                                               const WeightPair (&weights)[8]) {
#pragma unroll
  for (int i = 0; i < 16; ++i) weighed[i / 4][i % 4] = weigh(x[i / 4][i % 4], weights[i / 2]);
}

/// The two columns (tokens) of accumulator pair `pair` (of 8 columns each) that this thread holds.
__device__ __forceinline__ float2 columns_of(const float* values, int pair) {
  return *reinterpret_cast<const float2*>(values + pair * 8 + threadIdx.x % 4 * 2);
}

/// s *= due, then y = S C^T, given to the tensor cores: by halves, so that one is multiplied while
/// the other is rounded.
template <int N>
__device__ __forceinline__ void multiply_state(Accumulator<64>& y, Accumulator<N>& s, float due,
                                               Operand C) {
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
__device__ __forceinline__ void multiply_scores(Accumulator<64>& y, const uint32_t (&x)[4][4],
                                                Operand M) {
#pragma unroll
  for (int k = 0; k < 4; ++k) wgmma<false>(y, x[k], M.at(k * 32), true);
}
/// S += X B
template <int N>
__device__ __forceinline__ void add_inputs(Accumulator<N>& s, const uint32_t (&x)[4][4],
                                           Operand B) {
#pragma unroll
  for (int k = 0; k < 4; ++k) wgmma<true>(s, x[k], B.at(k * 2048), true);
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
    async_fence();
  }
  ++out.chunk;
}

/// y_l = factor(l) Y_l + D x_l, gated, of 16 tokens, x being their load_channels(). Y begins at
/// `y`.
template <bool kGated>
__device__ __forceinline__ void finish_output(HeadOutput& out, int k, const float* y,
                                              const uint32_t (&x)[4], const float2* factor,
                                              const ChunkTiles& tiles) {
  uint32_t z[4];
  if constexpr (kGated) load_channels(z, tiles.z, out.warp, 16 * k);
#pragma unroll
  for (int i = 0; i < 4; ++i) {  // i % 2: row g or g + 8; i / 2: columns 0-7 or 8-15
    const float D = out.skip[i % 2];
    float y0 = y[2 * i] * factor[i / 2].x + D * low_bf16(x[i]);
    float y1 = y[2 * i + 1] * factor[i / 2].y + D * high_bf16(x[i]);
    if constexpr (kGated) y0 *= silu(low_bf16(z[i])), y1 *= silu(high_bf16(z[i]));
    out.y[k][i] = pack_bf16(y0, y1);
  }
}
/// 0 at padding.
__device__ __forceinline__ void silence(HeadOutput& out, uint64_t padding) {
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    const auto bits = static_cast<uint32_t>(padding >> (i / 2 * 8 + threadIdx.x % 4 * 2));
    out.y[i / 4][i % 4] &= (bits & 1 ? 0 : 0xffffu) | (bits & 2 ? 0 : 0xffff0000u);
  }
}

/// What is due on S before it comes in; where both factors together could be too small for f32, the
/// first of them is multiplied at once.
template <int N>
__device__ __forceinline__ float take_due(Accumulator<N>& s, float leave, float enter) {
  constexpr float kSmall = 0x1p-100f;
  if (leave * enter >= kSmall) return leave * enter;
#pragma unroll
  for (int i = 0; i < N / 2; ++i) s[i] *= leave;
  return enter;
}

/// S of a chunk by pairs: what of it stays to the chunk's end.
template <int N>
__device__ __forceinline__ void keep_state(Accumulator<N>& s, const ChunkVectors& tokens) {
  const float kept = tokens.scale_carried;
#pragma unroll
  for (int i = 0; i < N / 2; ++i) s[i] *= kept;
  if (tokens.documents.begins == 0) return;
#pragma unroll
  for (int i = 0; i < N / 2; ++i) s[i] = 0.f;
}
/// y_l = 2^(c_l) (S C^T)_l of a chunk by pairs, for the tokens of the document that was carried in.
__device__ __forceinline__ void decay_carried(Accumulator<64>& y, const ChunkVectors& tokens) {
  const uint64_t begins = tokens.documents.begins;
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    const float2 factor = columns_of(tokens.row, i / 2);
    y[2 * i] *= factor.x, y[2 * i + 1] *= factor.y;
  }
  if (begins == 0) return;
  const int carried = __ffsll(static_cast<long long>(begins)) - 1;
#pragma unroll
  for (int i = 0; i < 32; ++i)
    if (i / 4 * 8 + threadIdx.x % 4 * 2 + i % 2 >= carried) y[i] = 0.f;
}

/// A chunk. s is S but for `due`, then the new S but for tokens.scale_out.
template <int N, bool kByPairs, bool kGated>
__device__ __forceinline__ void take_chunk(Accumulator<N>& s, float due, const ChunkTiles& tiles,
                                           const ChunkVectors& tokens, HeadOutput& out) {
  uint32_t x[4][4], weighed[4][4];
  float2 factor[8];
  Accumulator<64> y;
  load_channels(x, tiles.x, out.warp);
  WeightPair weights[8];
  load_weights(weights, tokens);
  multiply_state<N>(y, s, due, rows_operand(tiles.C));
  weigh_channels(weighed, x, weights);
  if constexpr (kByPairs) {
    keep_state<N>(s, tokens);
    wgmma_wait<0>();
    pin(y);
    decay_carried(y, tokens);
    pin(y);
    pin(x);
  }
  pin(weighed);
  pin(s);
  wgmma_fence();
  multiply_scores(y, kByPairs ? x : weighed, rows_operand(tiles.M));
  wgmma_commit();
  add_inputs<N>(s, weighed, columns_operand(tiles.B));
  wgmma_commit();
  send_output(out);
#pragma unroll
  for (int i = 0; i < 8; ++i) factor[i] = kByPairs ? float2{1.f, 1.f} : columns_of(tokens.row, i);
  wgmma_wait<1>();
  pin(y);
#pragma unroll
  for (int k = 0; k < 4; ++k) finish_output<kGated>(out, k, y + 8 * k, x[k], factor + 2 * k, tiles);
  if (tokens.documents.padding != 0) silence(out, tokens.documents.padding);
  wgmma_wait<0>();
  pin(s);
}

/// A chunk for its state alone; the same to the bit.
template <int N>
__device__ __forceinline__ void pass_chunk(Accumulator<N>& s, float due, const ChunkTiles& tiles,
                                           const ChunkVectors& tokens, int warp) {
  uint32_t x[4][4], weighed[4][4];
  load_channels(x, tiles.x, warp);
  WeightPair weights[8];
  load_weights(weights, tokens);
  weigh_channels(weighed, x, weights);
#pragma unroll
  for (int i = 0; i < N / 2; ++i) s[i] *= due;
  if (tokens.by_pairs) keep_state<N>(s, tokens);
  pin(weighed);
  pin(s);
  wgmma_fence();
  add_inputs<N>(s, weighed, columns_operand(tiles.B));
  wgmma_commit();
  wgmma_wait<0>();
  pin(s);
}

}  // namespace adder::kernels::cuda
