// The arguments of ssd() as a kernel reads them, and how a CTA reads a chunk of tokens of them.
#pragma once

#include "adder/kernels/cuda/mma.cuh"
#include "adder/kernels/cuda/ssd_tokens.cuh"

namespace adder::kernels::cuda {

/// A (batch, length, heads or groups, width) array of bf16; strides in elements.
struct TokenArray {
  __nv_bfloat16* data;
  int64_t batch_stride, token_stride, head_stride;

  __device__ __forceinline__ __nv_bfloat16* row(int64_t batch, int64_t token, int64_t head) const {
    return data + batch * batch_stride + token * token_stride + head * head_stride;
  }
};

inline TokenArray token_array(const View<4>& view) {
  return {view.as<__nv_bfloat16>(), view.stride[0], view.stride[1], view.stride[2]};
}

/// Whether every row begins at a multiple of `bytes`, so that it can be copied in such pieces.
inline bool rows_aligned(const View<4>& view, int64_t bytes) {
  const int64_t elements = bytes / 2;
  return reinterpret_cast<uintptr_t>(view.data) % bytes == 0 && view.stride[0] % elements == 0 &&
         view.stride[1] % elements == 0 && view.stride[2] % elements == 0 && view.stride[3] == 1;
}

struct SsdArguments {
  StepSizes sizes;
  TokenArray x, B, C, z, y;
  const float* D;  // or nullptr
  int64_t D_head_stride, D_channel_stride;
  const int32_t* seq_idx;  // or nullptr
  int64_t seq_idx_batch_stride, seq_idx_stride;
  const float* initial_state;  // (batch, heads, head_dim, state), or nullptr
  float* final_state;          // likewise
  int64_t batch, length, heads, heads_a_group;
  bool y_aligned;  // to 16 bytes
};

inline SsdArguments ssd_arguments(const SsdInputs& in, const SsdOutputs& out) {
  SsdArguments args{};
  args.sizes = step_sizes(in);
  args.x = token_array(in.x), args.B = token_array(in.B), args.C = token_array(in.C);
  args.z = token_array(in.z), args.y = token_array(out.y);
  args.D = in.D.as<float>();
  args.D_head_stride = in.D.stride[0];
  args.D_channel_stride = in.D.size[1] == 1 ? 0 : in.D.stride[1];
  args.seq_idx = in.seq_idx.as<int32_t>();
  args.seq_idx_batch_stride = in.seq_idx.stride[0];
  args.seq_idx_stride = in.seq_idx.stride[1];
  args.initial_state = in.initial_state.as<float>();
  args.final_state = out.final_state.as<float>();
  args.batch = in.x.size[0], args.length = in.x.size[1], args.heads = in.x.size[2];
  args.heads_a_group = in.x.size[2] / in.B.size[2];
  args.y_aligned = rows_aligned(out.y, 16);
  return args;
}

/// The documents of a chunk of row `batch`.
__device__ __forceinline__ Documents documents_of(const SsdArguments& args, int64_t batch,
                                                  int64_t first) {
  const int32_t* ids =
      args.seq_idx == nullptr ? nullptr : args.seq_idx + batch * args.seq_idx_batch_stride;
  return chunk_documents(ids, args.seq_idx_stride, first, args.length);
}

/// The bits of tokens behind the first `tokens` of a chunk.
__device__ __forceinline__ uint64_t tail_bits(int tokens) {
  return tokens >= kChunk ? 0 : ~uint64_t{0} << max(tokens, 0);
}

/// 64 rows from `from` on into the tile, absent ones as zeros; all threads take part.
template <int kWidth, int kThreads>
__device__ __forceinline__ void copy_chunk(Tile<kWidth, true> tile, const __nv_bfloat16* from,
                                           int64_t stride, uint64_t absent) {
  constexpr int kCells = Tile<kWidth>::kCells, kRowsAtOnce = kThreads / kCells;
  static_assert(kThreads % kCells == 0 && kChunk % kRowsAtOnce == 0);
  const int first_row = threadIdx.x / kCells, column8 = threadIdx.x % kCells;
  const __nv_bfloat16* source = from + first_row * stride + column8 * 8;
  if (absent == 0) {
#pragma unroll
    for (int i = 0; i < kChunk; i += kRowsAtOnce, source += kRowsAtOnce * stride)
      copy16_async(tile.cell(i + first_row, column8), source, true);
    return;
  }
#pragma unroll 1
  for (int row = first_row; row < kChunk; row += kRowsAtOnce, source += kRowsAtOnce * stride) {
    const bool valid = (absent >> row & 1) == 0;
    copy16_async(tile.cell(row, column8), valid ? source : from, valid);
  }
}

/// Rows of a state (head_dim x N), 16 kTiles of them, in the accumulators of a warp: fragment
/// (m, j) holds rows 16 m ... and columns 8 j ...
template <int kTiles, int N>
struct StateRows {
  float s[kTiles][N / 8][4];

  /// f(two neighbours in a row, their place in the dense rows)
  template <typename F>
  __device__ __forceinline__ void for_pairs(const F& f) {
    const int lane = threadIdx.x & 31, first = lane / 4 * N + lane % 4 * 2;
#pragma unroll
    for (int m = 0; m < kTiles; ++m)
#pragma unroll
      for (int j = 0; j < N / 8; ++j)
#pragma unroll
        for (int i = 0; i < 2; ++i)
          f(s[m][j][2 * i], s[m][j][2 * i + 1], first + (m * 16 + i * 8) * N + j * 8);
  }
  __device__ __forceinline__ void scale(float factor) {
    for_pairs([=](float& a, float& b, int) { a *= factor, b *= factor; });
  }
  /// From the first of the rows in a dense state, aligned to 8 bytes; nullptr: zeros.
  __device__ __forceinline__ void load(const float* rows) {
    for_pairs([=](float& a, float& b, int place) {
      const float2 pair =
          rows == nullptr ? float2{0, 0} : *reinterpret_cast<const float2*>(rows + place);
      a = pair.x, b = pair.y;
    });
  }
  __device__ __forceinline__ void store(float* rows, float factor) {
    for_pairs([=](float a, float b, int place) {
      *reinterpret_cast<float2*>(rows + place) = {a * factor, b * factor};
    });
  }
  /// += X^T B, of 16 tokens from `token` on; x is X^T as operands A.
  __device__ __forceinline__ void add_outer(const uint32_t (&x)[kTiles][4], Tile<N, true> B,
                                            int token) {
#pragma unroll
    for (int j = 0; j < N / 16; ++j) {
      uint32_t b[4];
      B.load_b(b, token, j * 16);
#pragma unroll
      for (int m = 0; m < kTiles; ++m) {
        mma(s[m][2 * j], x[m], b[0], b[1]);
        mma(s[m][2 * j + 1], x[m], b[2], b[3]);
      }
    }
  }
  /// Columns 16 k ... of tile m, rounded, as two operands B of its transpose: {r0, r1}, {r2, r3}.
  __device__ __forceinline__ void transposed(uint32_t (&r)[4], int m, int k) const {
    const auto &low = s[m][2 * k], &high = s[m][2 * k + 1];
    r[0] = pack_bf16(low[0], low[1]), r[1] = pack_bf16(high[0], high[1]);
    r[2] = pack_bf16(low[2], low[3]), r[3] = pack_bf16(high[2], high[3]);
  }
};

}  // namespace adder::kernels::cuda
