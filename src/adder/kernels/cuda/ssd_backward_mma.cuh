// What the kernels of ssd_backward_mma() share: where the caller's rows lie, and the workspace. The
// sequence is cut into chunks of 64 tokens; S is the state before a chunk, G the gradient of the
// state after it.
#pragma once

#include "adder/kernels/cuda/ssd_tokens.cuh"

namespace adder::kernels::cuda {

/// A (batch, length, heads or groups, width) view of bf16, its rows 16-byte aligned.
struct Rows {
  __nv_bfloat16* data;  // nullptr: not given
  int64_t batch_stride, token_stride, head_stride;

  __device__ __forceinline__ __nv_bfloat16* at(int64_t batch, int64_t token, int64_t head) const {
    return data + batch * batch_stride + token * token_stride + head * head_stride;
  }
};

inline Rows rows_of(const View<4>& view) {
  return {view.as<__nv_bfloat16>(), view.stride[0], view.stride[1], view.stride[2]};
}

struct Sizes {
  int batch, length, heads, groups, chunks;

  __host__ __device__ int heads_a_group() const { return heads / groups; }
  /// Number of a (row, head, chunk).
  __device__ __forceinline__ int64_t unit(int batch_row, int head, int chunk) const {
    return (static_cast<int64_t>(batch_row) * heads + head) * chunks + chunk;
  }
};

/// Of one head and chunk, as it lies in the workspace and in shared memory.
struct ChunkSteps {
  float delta[kChunk];   // 0 at padding
  float c[kChunk];       // sum of Delta A log2 e from the chunk's start, this token included
  float slope[kChunk];   // d Delta / d dt
  float to_end[kChunk];  // e^{c_end - c}, 0 where a document begins behind the token
  /// What a token weighs in the walks of ssd_backward_states.cu: forwards Delta e^{c_end - c},
  /// backwards e^c; 0 where a document begins between it and where the walk goes.
  float weight[2][kChunk];
  float carried;  // log2 of the decay of what came before the chunk, -inf: a document begins in it
  float A;
  float unused[2];
};

struct Workspace {
  ChunkSteps* steps;         // (batch, heads, chunks)
  Documents* documents;      // (batch, chunks)
  bool packed;               // whether there are documents at all
  __nv_bfloat16* before;     // S (batch, heads, chunks, head_dim, states)
  __nv_bfloat16* after;      // G
  float *ends, *end_decays;  // of segments: ssd_backward_states.cu
  float *dA, *dt_bias;       // (heads, batch, chunks)
  float* dD;                 // (heads, batch, chunks, head_dim or 1)
  float *dB, *dC;            // (head blocks, batch, length, groups, states), or nullptr
};

/// Fills steps and documents.
DeviceAnswer launch_steps(const SsdInputs& in, const Sizes& sizes, const Workspace& space,
                          cudaStream_t stream);

/// What a segment leaves at its end is complete once all before counts less than this (log2).
inline constexpr float kForgottenState = -60.f;
/// How a row is cut so that a few heads fill the device.
struct StateSegments {
  int count, chunks;  // of so many chunks each, the last may have fewer
};
StateSegments state_segments(const Sizes& sizes, int multiprocessors);

/// S and G of all chunks, and the gradient of the initial state.
DeviceAnswer launch_states(const SsdInputs& in, const SsdGradients& grads, const Sizes& sizes,
                           const StateSegments& segments, const Workspace& space,
                           cudaStream_t stream);

/// The same on Hopper, for what takes_backward_mma(); steps and documents too.
bool takes_states_sm90(const SsdInputs& in, const SsdGradients& grads);
StateSegments state_segments_sm90(const Sizes& sizes, int multiprocessors);
DeviceAnswer launch_states_sm90(const SsdInputs& in, const SsdGradients& grads, const Sizes& sizes,
                                const StateSegments& segments, const Workspace& space,
                                cudaStream_t stream);

/// How many blocks a group's heads are cut into.
int head_blocks(const Sizes& sizes, int multiprocessors);

/// Shared memory that a block of launch_tiles() may take.
inline constexpr int kGradientTileBytes = 160 * 1024;
/// Gradients of x and dt, and partial sums of the others.
DeviceAnswer launch_tiles(const SsdInputs& in, const SsdGradients& grads, const Sizes& sizes,
                          int blocks, const Workspace& space, cudaStream_t stream);

/// Adds the partial sums, in order.
DeviceAnswer launch_sums(const SsdInputs& in, const SsdGradients& grads, const Sizes& sizes,
                         int blocks, const Workspace& space, cudaStream_t stream);

/// Tokens of a chunk that are padding, a bit for each.
__device__ __forceinline__ uint64_t chunk_padding(const Sizes& sizes, const Workspace& space,
                                                  int batch, int chunk) {
  if (space.packed)
    return space.documents[static_cast<int64_t>(batch) * sizes.chunks + chunk].padding;
  const int tokens = sizes.length - chunk * kChunk;
  return tokens >= kChunk ? 0 : ~uint64_t{0} << tokens;
}

template <int kWidth>
using AlignedTile = Tile<kWidth, true>;

/// 64 rows of a head from token `first` on into a tile; zeros at padding. `thread` of kThreads.
template <int kThreads, int kWidth>
__device__ __forceinline__ void copy_rows(const AlignedTile<kWidth>& to, const Rows& from,
                                          int64_t batch, int64_t first, int64_t head,
                                          uint64_t padding, int thread) {
  constexpr int kCells = kWidth / 8, kRows = kThreads / kCells;  // at once
  static_assert(kRows % 8 == 0, "the same turn of the cells in every pass");
  const int row0 = thread / kCells, cell = thread % kCells;
  if (kRows > kChunk && row0 >= kChunk) return;
  const __nv_bfloat16* base = from.at(batch, first, head) + cell * 8;
  const __nv_bfloat16* row_data = base + row0 * from.token_stride;
  const int64_t step = kRows * from.token_stride;
  const uint32_t place = to.cell(row0, cell);
  if (padding == 0) {
#pragma unroll
    for (int row = 0; row < kChunk; row += kRows, row_data += step)
      copy16_async(place + row * kWidth * 2, row_data, true);
    return;
  }
#pragma unroll
  for (int row = 0; row < kChunk; row += kRows, row_data += step) {
    const bool valid = !(padding >> (row0 + row) & 1);
    copy16_async(place + row * kWidth * 2, valid ? row_data : base, valid);
  }
}

/// S or G, (head_dim, kStates) of bf16 in blocks of 8 x 8 that lie together: 32 lanes write a block
/// of a fragment as 128 bytes in a row, and its rows are those of ldmatrix.
template <int kStates>
struct StateBlocks {
  uint32_t address;

  static constexpr int block(int row, int column) { return row / 8 * (kStates / 8) + column / 8; }
  /// Matrices 0-3 one below the other, then to the right.
  __device__ __forceinline__ uint32_t down(int row, int column) const {
    const int lane = threadIdx.x & 31;
    return address + block(row, column) * 128 + block(lane & 8, lane / 16 * 8) * 128 +
           lane % 8 * 16;
  }
  /// Matrices 0-3 side by side, then below.
  __device__ __forceinline__ uint32_t across(int row, int column) const {
    const int lane = threadIdx.x & 31;
    return address + block(row, column) * 128 + block(lane / 16 * 8, lane & 8) * 128 +
           lane % 8 * 16;
  }
  /// A = T[row.., column..]
  __device__ __forceinline__ void load_a(uint32_t (&r)[4], int row, int column) const {
    load_matrices(r, down(row, column));
  }
  /// Two B = T[row.., column..]^T (k runs along the rows): {r0, r1}, {r2, r3}.
  __device__ __forceinline__ void load_b_of_rows(uint32_t (&r)[4], int row, int column) const {
    load_matrices(r, across(row, column));
  }
  /// Two B = T[row.., column..] (k runs down): {r0, r1}, {r2, r3}.
  __device__ __forceinline__ void load_b(uint32_t (&r)[4], int row, int column) const {
    load_matrices_transposed(r, down(row, column));
  }
};

/// Two lanes that differ in bit kBit swap: r[i + kBit] of the lower, r[i] of the upper.
template <int kBit>
__device__ __forceinline__ void swap_with_lane(uint32_t (&r)[4]) {
  const bool upper = threadIdx.x & kBit;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    if (i & kBit) continue;
    const uint32_t low = r[i], high = r[i + kBit];
    const uint32_t got = __shfl_xor_sync(kAllLanes, upper ? low : high, kBit);
    r[i] = upper ? got : low;
    r[i + kBit] = upper ? high : got;
  }
}

/// Registers r[i] of lane t of four hold pair t of part i; then pairs 0-3 of part t: 16 bytes that
/// lie together.
__device__ __forceinline__ void gather_cell(uint32_t (&r)[4]) {
  swap_with_lane<2>(r);
  swap_with_lane<1>(r);
}

}  // namespace adder::kernels::cuda
