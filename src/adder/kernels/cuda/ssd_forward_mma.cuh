// The forward pass of ssd() for one set of heads and one segment of tokens, as one CTA does it.
// A chunk is 64 tokens; with c the running sum of Delta A log2 e in it and an anchor m,
//
//   M   = lower triangle of C B^T             no decay in it: one for all heads of the CTA
//   X~  = x_s Delta_s 2^(m - c_s)
//   y_l = 2^(c_l - m) ( C (2^m S)^T + M X~ )_l + D x_l
//   S   = 2^(c_last - m) ( 2^m S + X~^T B )
//
// The anchor stands in the middle of the chunk's c, so no exponent passes half of their width; a
// chunk wider than that allows, or with a document that begins inside it, takes the decay of each
// pair of tokens instead ("by pairs"). The state stays in registers for the whole segment.
#pragma once

#include "adder/kernels/cuda/ssd_forward_memory.cuh"
#include "adder/kernels/cuda/ssd_segments.h"

namespace adder::kernels::cuda {

struct Segments {
  SegmentPlan plan;
  const float* entering;  // the states that enter segments 1 ...
};

template <typename Shape>
class ForwardCta : ForwardMemory<Shape> {
  using Base = ForwardMemory<Shape>;
  using Base::args_, Base::memory_, Base::kP, Base::kN, Base::kHeads;
  using Base::C_tile, Base::B_tile, Base::x_tile, Base::M_tile, Base::copy_stage;
  using Base::own_head, Base::channel0, Base::vectors, Base::raw_of, Base::find_vectors;
  static constexpr int kTiles = Shape::kTiles;

 public:
  __device__ __forceinline__ ForwardCta(const SsdArguments& args, const Segments& segments,
                                        typename Shape::Memory& memory)
      : Base(args, memory) {
    const int64_t sets = args.heads / kHeads, row = blockIdx.x / sets;
    const int64_t head0 = blockIdx.x % sets * kHeads;
    const int64_t batch = row % args.batch, segment = row / args.batch;
    const int64_t first = segment * segments.plan.chunks * kChunk;
    this->remember(batch, first, head0,
                   static_cast<int>(min(segments.plan.chunks * kChunk, args.length - first)));

    const int64_t states = args.batch * args.heads * kP * kN;
    const int64_t own_state = ((batch * args.heads + head0 + own_head()) * kP + channel0()) * kN;
    state_.load(segment > 0 ? segments.entering + (segment - 1) * states + own_state
                : args.initial_state != nullptr ? args.initial_state + own_state
                                                : nullptr);
    __syncthreads();
    run();
    if (args.final_state != nullptr && first + memory.tokens == args.length)
      state_.store(args.final_state + own_state, pending_);
  }

 private:
  __device__ __forceinline__ void run() {
    copy_stage(0);
    find_vectors(0, raw_of(0));
    RawPair raw = raw_of(1);
#pragma unroll 1
    for (int chunk = 0; chunk * kChunk < memory_.tokens; ++chunk) {
      asm volatile("" : "+r"(chunk));  // nothing derived from it is worth a register
      wait_copies<0>();
      __syncthreads();
      if ((chunk + 1) * kChunk < memory_.tokens) copy_stage(chunk + 1);
      scores(chunk);
      find_vectors(chunk + 1, raw);
      carried_part(chunk);
      raw = raw_of(chunk + 2);
      __syncthreads();
      if (vectors(chunk).by_pairs)
        own_part_by_pairs(chunk);
      else
        own_part(chunk);
#pragma unroll
      for (int l = 0; l < 4; l += 2) finish_rows(chunk, l);
      store_y(chunk);
    }
  }

  static __device__ __forceinline__ int warp_index() {
    return __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x / 32), 0);
  }
  /// M: its ten blocks of 16 x 16 are dealt out to the warps, some at once for the sake of
  /// latency (the last of all is done more often than needed).
  __device__ __forceinline__ void scores(int chunk) const {
    constexpr uint64_t kRows = 0x3333222110, kColumns = 0x3210210100;  // a digit for each block
    constexpr int kBlocks = 10, kAtOnce = std::min(3, (kBlocks - 1) / Shape::kWarps + 1);
#pragma unroll 1
    for (int first = warp_index(); first < kBlocks; first += kAtOnce * Shape::kWarps) {
      float m[kAtOnce][2][4] = {};
      int l0[kAtOnce], s0[kAtOnce];
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i) {
        const int digit = 4 * min(first + i * Shape::kWarps, kBlocks - 1);
        l0[i] = (kRows >> digit & 15) * 16, s0[i] = (kColumns >> digit & 15) * 16;
      }
#pragma unroll
      for (int n = 0; n < kN; n += 16) {
#pragma unroll
        for (int i = 0; i < kAtOnce; ++i) {
          uint32_t c[4], b[4];
          C_tile(chunk).load_a(c, l0[i], n);
          B_tile(chunk).load_b_of_rows(b, s0[i], n);
          mma(m[i][0], c, b[0], b[1]);
          mma(m[i][1], c, b[2], b[3]);
        }
      }
#pragma unroll
      for (int i = 0; i < kAtOnce; ++i)
        if (first + i * Shape::kWarps < kBlocks) store_lower(m[i], l0[i], s0[i]);
    }
  }
  __device__ __forceinline__ void store_lower(const float (&m)[2][4], int l0, int s0) const {
    const int lane = threadIdx.x & 31;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = i / 2 * 8, column = i % 2 * 8;
      const int l = l0 + row + lane / 4, s = s0 + column + lane % 4 * 2;
      const float* pair = &m[i % 2][i / 2 * 2];
      M_tile().store_fragment(l0 + row, s0 + column,
                              pack_bf16(s <= l ? pair[0] : 0.f, s + 1 <= l ? pair[1] : 0.f));
    }
  }

  /// y = C S^T, the carried state's part, with S scaled as the chunk wants it.
  __device__ __forceinline__ void carried_part(int chunk) {
    const ChunkVectors& v = vectors(chunk);
    float factor = pending_ * v.scale_in;
    if (factor < 0x1p-100f) {  // their product may be too small for f32 where S is large
      state_.scale(pending_);
      factor = v.scale_in;
    }
    state_.scale(factor);
    for_each_y([](float& y, int, int) { y = 0; });
#pragma unroll
    for (int k = 0; k < kN / 16; ++k) {
      uint32_t s[kTiles][4];
#pragma unroll
      for (int m = 0; m < kTiles; ++m) state_.transposed(s[m], m, k);
#pragma unroll
      for (int l = 0; l < 4; ++l) {
        uint32_t c[4];
        C_tile(chunk).load_a(c, l * 16, k * 16);
#pragma unroll
        for (int m = 0; m < kTiles; ++m) {
          mma(y_[l][m][0], c, s[m][0], s[m][1]);
          mma(y_[l][m][1], c, s[m][2], s[m][3]);
        }
      }
    }
    if (v.by_pairs) {
      for_each_y([&](float& y, int l, int half) { y *= v.row[own_row(l, half)]; });
      state_.scale(v.scale_carried);
    }
    pending_ = v.scale_out;
  }

  /// y += M X~ and S += X~^T B, 16 tokens s after another.
  __device__ __forceinline__ void own_part(int chunk) {
    const ChunkVectors& v = vectors(chunk);
#pragma unroll
    for (int s = 0; s < 4; ++s) {
      uint32_t x[kTiles][4];
#pragma unroll
      for (int m = 0; m < kTiles; ++m) {
        x_tile(chunk).load_b(x[m], s * 16, channel0() + m * 16);
        weigh_tokens<true>(x[m], v.weight + s * 8);
      }
#pragma unroll
      for (int l = s; l < 4; ++l) {
        uint32_t a[4];
        M_tile().load_a(a, l * 16, s * 16);
        add_rows(l, a, x);
      }
      add_to_state(chunk, s);
    }
  }
  /// The same with M_ls Delta_s 2^(c_l - c_s) in place of M, and x itself in place of X~ in y.
  __device__ __forceinline__ void own_part_by_pairs(int chunk) {
    const ChunkVectors& v = vectors(chunk);
#pragma unroll 1
    for (int s = 0; s < 4; ++s) {
      uint32_t x[kTiles][4];
#pragma unroll
      for (int m = 0; m < kTiles; ++m) x_tile(chunk).load_b(x[m], s * 16, channel0() + m * 16);
#pragma unroll
      for (int l = 0; l < 4; ++l) {
        if (l < s) continue;
        uint32_t a[4];
        M_tile().load_a(a, l * 16, s * 16);
        decay_pairs(a, v, l, s);
        add_rows(l, a, x);
      }
      add_to_state(chunk, s);
    }
  }
  /// y += a X of 16 rows l; x is X as operands B.
  __device__ __forceinline__ void add_rows(int l, const uint32_t (&a)[4],
                                           const uint32_t (&x)[kTiles][4]) {
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
      mma(y_[l][m][0], a, x[m][0], x[m][1]);
      mma(y_[l][m][1], a, x[m][2], x[m][3]);
    }
  }
  /// S += X~^T B. X~ is read and weighed once more: as operand A its registers lie in another
  /// order.
  __device__ __forceinline__ void add_to_state(int chunk, int s) {
    uint32_t x[kTiles][4];
#pragma unroll
    for (int m = 0; m < kTiles; ++m) {
      x_tile(chunk).load_a_transposed(x[m], s * 16, channel0() + m * 16);
      weigh_tokens<false>(x[m], vectors(chunk).weight + s * 8);
    }
    state_.add_outer(x, B_tile(chunk), s * 16);
  }

  /// M_ls times Delta_s 2^(c_l - c_s), zero between documents. The exponential may overflow above
  /// the diagonal, so it is not multiplied there.
  __device__ __forceinline__ void decay_pairs(uint32_t (&m)[4], const ChunkVectors& v, int l,
                                              int s) const {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int row = own_row(l, i % 2), column = s * 16 + i / 2 * 8 + threadIdx.x % 4 * 2;
      const int begin = document_start(v.documents.begins, row);
      const auto decay = [&](int token) {
        return token <= row && token >= begin ? ex2(v.c[row] - v.source[token]) : 0.f;
      };
      m[i] = pack_bf16(low_bf16(m[i]) * decay(column), high_bf16(m[i]) * decay(column + 1));
    }
  }

  /// 32 rows of y, from block l on, take their x's place in the x tile, with the decay of the row
  /// (the factored form's), the skip and the gate: these x are this warp's alone and not needed any
  /// more.
  __device__ __forceinline__ void finish_rows(int chunk, int l) {
    const ChunkVectors& v = vectors(chunk);
    const Tile<kP, true> x = x_tile(chunk);
    uint32_t own[2][kTiles][4];
    float decay[2][2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int m = 0; m < kTiles; ++m) x.load_a(own[i][m], (l + i) * 16, channel0() + m * 16);
#pragma unroll
      for (int half = 0; half < 2; ++half)
        decay[i][half] = v.by_pairs ? 1.f : v.row[own_row(l + i, half)];
    }
    float2 D[kTiles][2];
#pragma unroll
    for (int m = 0; m < kTiles; ++m)
#pragma unroll
      for (int i = 0; i < 2; ++i)
        D[m][i] = *reinterpret_cast<const float2*>(
            &memory_.heads[own_head()].skip[channel0() + m * 16 + i * 8 + threadIdx.x % 4 * 2]);
#pragma unroll
    for (int i = 0; i < 2 * kTiles * 4; ++i) {
      const int block = i / 4 / kTiles, m = i / 4 % kTiles, column = i / 2 % 2, half = i % 2;
      float* y = &y_[l + block][m][column][2 * half];
      const uint32_t x_pair = own[block][m][2 * column + half];
      const float2 skip = D[m][column];
      y[0] = y[0] * decay[block][half] + skip.x * low_bf16(x_pair);
      y[1] = y[1] * decay[block][half] + skip.y * high_bf16(x_pair);
    }
    if (memory_.heads[own_head()].z != nullptr) gate_rows(chunk, l);
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 2 * kTiles * 4; ++i) {
      const int block = i / 4 / kTiles, m = i / 4 % kTiles, column = i / 2 % 2, half = i % 2;
      const float* y = &y_[l + block][m][column][2 * half];
      x.store_fragment((l + block) * 16 + half * 8, channel0() + m * 16 + column * 8,
                       pack_bf16(y[0], y[1]));
    }
  }

  /// 32 rows of y, from block l on, times silu(z); padding has no z.
  __device__ __forceinline__ void gate_rows(int chunk, int l) {
    const typename Shape::Head& head = memory_.heads[own_head()];
    const uint64_t padding = vectors(chunk).documents.padding;
    const auto silu = [](const __nv_bfloat16& z) {
      const float v = __bfloat162float(z);
      return __fdividef(v, 1.f + __expf(-v));
    };
#pragma unroll
    for (int i = 0; i < 2 * kTiles * 4; ++i) {
      const int block = i / 4 / kTiles, m = i / 4 % kTiles, column = i / 2 % 2, half = i % 2;
      const int row = own_row(l + block, half);
      if (padding >> row & 1) continue;
      const __nv_bfloat16* z = head.z + (chunk * kChunk + row) * args_.z.token_stride + channel0() +
                               m * 16 + column * 8 + threadIdx.x % 4 * 2;
      float* y = &y_[l + block][m][column][2 * half];
      y[0] *= silu(z[0]), y[1] *= silu(z[1]);
    }
  }

  /// The warp's channels of y leave, from where finish_rows() put them; zero at padding.
  __device__ __forceinline__ void store_y(int chunk) const {
    constexpr int kCells = 2 * kTiles, kRowsAtOnce = 32 / kCells;  // of 8 channels
    const Tile<kP, true> x = x_tile(chunk);
    const typename Shape::Head& head = memory_.heads[own_head()];
    const uint64_t padding = vectors(chunk).documents.padding;
    const int lane = threadIdx.x & 31, column = channel0() + lane % kCells * 8;
    const int token0 = chunk * kChunk, rows = min(memory_.tokens - token0, kChunk);
    __builtin_assume(__isGlobal(head.y));
    __syncwarp();
    if (padding == 0 && args_.y_aligned) {
      __nv_bfloat16* to = head.y + (token0 + lane / kCells) * args_.y.token_stride + column;
      uint4 y[kChunk / kRowsAtOnce];
#pragma unroll
      for (int i = 0; i < kChunk / kRowsAtOnce; ++i)
        y[i] = x.read_cell(i * kRowsAtOnce + lane / kCells, column / 8);
#pragma unroll
      for (int i = 0; i < kChunk / kRowsAtOnce; ++i, to += kRowsAtOnce * args_.y.token_stride)
        store_cell(to, y[i], true);
      return;
    }
#pragma unroll 1
    for (int row = lane / kCells; row < rows; row += kRowsAtOnce) {
      uint4 y = x.read_cell(row, column / 8);
      if (padding >> row & 1) y = {};
      store_cell(head.y + (token0 + row) * args_.y.token_stride + column, y, args_.y_aligned);
    }
  }
  static __device__ __forceinline__ void store_cell(__nv_bfloat16* to, const uint4& y,
                                                    bool aligned) {
    if (aligned) {
      asm volatile("st.global.v4.b32 [%0], {%1, %2, %3, %4};" ::"l"(to), "r"(y.x), "r"(y.y),
                   "r"(y.z), "r"(y.w)
                   : "memory");
      return;
    }
    const auto* elements = reinterpret_cast<const __nv_bfloat16*>(&y);
#pragma unroll
    for (int i = 0; i < 8; ++i) to[i] = elements[i];
  }

  /// f(y, 16-token block, half) for each accumulator of y.
  template <typename F>
  __device__ __forceinline__ void for_each_y(const F& f) {
#pragma unroll
    for (int l = 0; l < 4; ++l)
#pragma unroll
      for (int m = 0; m < kTiles; ++m)
#pragma unroll
        for (int i = 0; i < 8; ++i) f(y_[l][m][i / 4][i % 4], l, i % 4 / 2);
  }
  /// Of this lane's accumulators: token in the chunk.
  static __device__ __forceinline__ int own_row(int l, int half) {
    return l * 16 + half * 8 + threadIdx.x % 32 / 4;
  }

  StateRows<kTiles, kN> state_;
  float pending_ = 1;         // factor that the state still lacks
  float y_[4][kTiles][2][4];  // (16 tokens, 16 channels, 8 of them, accumulators)
};

}  // namespace adder::kernels::cuda
