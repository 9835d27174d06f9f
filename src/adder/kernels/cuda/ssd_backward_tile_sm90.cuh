// The shared memory and the barriers of the Hopper tile_kernel (ssd_backward_tile_sm90.cu).
#pragma once

#include "adder/kernels/cuda/ssd_backward_tile.cuh"
#include "adder/kernels/cuda/tensor_copy.cuh"
#include "adder/kernels/cuda/wgmma.cuh"

namespace adder::kernels::cuda {

/// Channels of a head.
inline constexpr int kHeadDim = 64;
/// Threads of a team: two for scores, one for dB, one for dC.
inline constexpr int kTeam = 128, kTileThreads = 4 * kTeam;

/// What is left of a head for the gradients of dt, A, D and dt_bias, as HeadSums.
struct HeadSumsSm90 {
  float into[kChunk], out_of[kChunk];
  float direct[1][kChunk], later[1][kChunk];
  float earlier[4][kChunk];
  float states[8];
  float skip[4];
};

/// An arrival of the warp, which has written or read what the barrier stands for.
__device__ __forceinline__ void arrive_warp(const uint64_t& barrier) {
  __syncwarp();
  if (threadIdx.x % 32 == 0) arrive(shared_address(&barrier));
}

/// Two rings of heads: what the tokens are to a head, and its states, which are done with early.
template <int N>
struct TileMemorySm90 {
  static constexpr int kTokenSlots = 4, kStateSlots = 3;

  struct States {
    alignas(1024) __nv_bfloat16 S[kHeadDim * N], G[kHeadDim * N];  // StateBlocks
  };
  struct Tokens {
    alignas(1024) __nv_bfloat16 x[kChunk * kHeadDim], dy[kChunk * kHeadDim];
  };
  alignas(1024) __nv_bfloat16 B[kChunk * N], C[kChunk * N];  // tiles of 64 states
  States states[kStateSlots];
  Tokens tokens[kTokenSlots];
  float4 scores[10][2][32];  // B_l . C_m: block, 8 columns, lane
  ChunkSteps steps[kTokenSlots];
  HeadSumsSm90 sums[kTokenSlots];
  float skip[kTokenSlots][kHeadDim];  // D
  int begin[kChunk];  // of each token: where its document begins in the chunk, -1: before it
  /// B and C have arrived.
  uint64_t keys_full;
  uint64_t states_full[kStateSlots], states_done[kStateSlots];
  /// Of tokens: they have arrived; the team of dB has read x; all but one score warp have given
  /// their sums; that one has finished the head.
  uint64_t tokens_full[kTokenSlots], x_read[kTokenSlots], summed[kTokenSlots],
      tokens_done[kTokenSlots];

  /// One thread, before all others begin.
  __device__ void start_barriers() {
    constexpr int kWarps = kTeam / 32;
    const auto start = [](uint64_t& barrier, int arrivals) {
      barrier_init(shared_address(&barrier), arrivals);
    };
    start(keys_full, 2 * kTeam);
    for (int i = 0; i < kStateSlots; ++i)
      start(states_full[i], 1), start(states_done[i], 3 * kWarps);
    for (int i = 0; i < kTokenSlots; ++i) {
      start(tokens_full[i], kTeam + 1);  // and the copy engine
      start(x_read[i], kWarps);
      start(summed[i], 3 * kWarps - 1);
      start(tokens_done[i], kWarps);
    }
    barrier_init_done();
  }
  /// B and C, copied by threads, for wgmma.
  __device__ __forceinline__ void wait_keys() const {
    wait_phase(shared_address(&keys_full), 0);
    async_fence();
  }
  /// Of head number i.
  __device__ __forceinline__ void wait_states(const uint64_t (&barriers)[kStateSlots],
                                              int i) const {
    wait_phase(shared_address(&barriers[i % kStateSlots]), i / kStateSlots % 2);
  }
  __device__ __forceinline__ void wait_tokens(const uint64_t (&barriers)[kTokenSlots],
                                              int i) const {
    wait_phase(shared_address(&barriers[i % kTokenSlots]), i / kTokenSlots % 2);
  }
};

/// dots[r] += <row g + 8 r of a product, row of an operand A> over this thread's part of 16
/// columns.
__device__ __forceinline__ void add_dots(float (&dots)[2], const float (&product)[2][4],
                                         const uint32_t (&rows)[4]) {
#pragma unroll
  for (int e = 0; e < 4; ++e) {
    const float* pair = &product[e / 2][2 * (e % 2)];
    dots[e % 2] = fmaf(pair[0], low_bf16(rows[e]), dots[e % 2]);
    dots[e % 2] = fmaf(pair[1], high_bf16(rows[e]), dots[e % 2]);
  }
}

/// A wgmma operand of 64 rows that run along the states, in tiles of 64 of them: k-th step of 16.
__device__ __forceinline__ Operand keys_operand(const __nv_bfloat16* keys, int k) {
  return rows_operand(shared_address(keys)).at(k / 4 * kTileBytes + k % 4 * 32);
}

}  // namespace adder::kernels::cuda
