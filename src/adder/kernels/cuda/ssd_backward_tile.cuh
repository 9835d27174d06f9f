// The arguments, the shared memory and the sums of tile_kernel (ssd_backward_tile.cu).
#pragma once

#include "adder/kernels/cuda/ssd_backward_mma.cuh"

namespace adder::kernels::cuda {

struct Tiles {
  Sizes sizes;
  int heads_a_block;
  Workspace space;
  Rows x, dy, B, C;
  Rows dx, grad_B, grad_C;
  const float* D;  // nullptr: none
  int64_t D_head_stride, D_channel_stride;
  int channels;  // that D and its gradient are kept apart for: head_dim or 1
  void* dt;      // gradient, bf16 or f32, or nullptr
  int64_t dt_batch_stride, dt_token_stride, dt_head_stride;
  bool dt_is_bf16;
};

/// Hopper's, for heads of 64 channels (ssd_backward_tile_sm90.cu).
DeviceAnswer launch_tiles_sm90(const Tiles& all, int states, int blocks, cudaStream_t stream);

/// What the teams leave of a head for the gradients of dt, A, D and dt_bias.
struct HeadSums {
  float into[kChunk];        // a1_m
  float out_of[kChunk];      // a2_l / Delta_l
  float direct[2][kChunk];   // sum over m >= l of q[l, m] / Delta_l, m in even and odd blocks of 16
  float later[2][kChunk];    // sum over m > l of q[l, m], likewise
  float earlier[8][kChunk];  // sum over l < m of q[l, m], of each warp
  float states[8];           // <S, G>, parts
  float skip[4];             // sum of dy x, parts
};

/// The number of a 16 x 16 block of pairs l <= m, of ten.
__host__ __device__ constexpr int block_pair(int row, int column) {
  return row * (7 - row) / 2 + column;
}

template <int P, int N>
struct TileMemory {
  struct Head {
    alignas(256) __nv_bfloat16 x[kChunk * P], dy[kChunk * P], S[P * N], G[P * N];
    float skip[P];  // D
  };
  alignas(256) __nv_bfloat16 B[kChunk * N], C[kChunk * N];
  alignas(256) float4 scores[10][2][32];  // B_l . C_m: block, 8 columns, lane
  uint4 W[10][32];                        // of the head in work, as fragments
  Head head[2];
  ChunkSteps steps[3];  // of a head, the next, and the one before: it is finished later
  HeadSums sums[2];
  int begin[kChunk];  // of each token: where its document begins in the chunk, -1: before it
};

/// The tile of a block: one chunk, some heads of one group.
struct TileOf {
  int chunk, batch, group, block, head0, heads;
  int64_t first, length;  // token; of the row
  Documents documents;

  __device__ TileOf(const Tiles& all)
      : chunk(blockIdx.x),
        batch(blockIdx.y),
        first(int64_t{chunk} * kChunk),
        length(all.sizes.length) {
    const int blocks = gridDim.z / all.sizes.groups;
    group = blockIdx.z / blocks;
    block = blockIdx.z % blocks;
    const int in_group = block * all.heads_a_block;
    head0 = group * all.sizes.heads_a_group() + in_group;
    heads = min(all.heads_a_block, all.sizes.heads_a_group() - in_group);
    documents = all.space.documents[static_cast<int64_t>(batch) * all.sizes.chunks + chunk];
  }
};

/// kThreads threads of a block, whose warps have parted, at barrier `place` (not 0).
template <int kThreads>
__device__ __forceinline__ void meet(int place = 1) {
  asm volatile("bar.sync %0, %1;" ::"r"(place), "n"(kThreads) : "memory");
}

/// Sum over the four lanes of a row of a fragment.
__device__ __forceinline__ float row_sum(float v) {
  v += __shfl_xor_sync(kAllLanes, v, 1);
  return v + __shfl_xor_sync(kAllLanes, v, 2);
}
__device__ __forceinline__ float sum_of_warp(float v) {
#pragma unroll
  for (int step = 16; step >= 1; step /= 2) v += __shfl_xor_sync(kAllLanes, v, step);
  return v;
}

}  // namespace adder::kernels::cuda
