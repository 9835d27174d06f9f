// The score team of tile_kernel: eight warps, two for each 16 tokens l = 16 r .. 16 r + 15, against
// the tokens m >= l of the same document. With F[l,m] = Delta_l e^{c_m - c_l}:
//
//   U[l,m] = x_l . dy_m      Z += F U      W = (B_l . C_m) F      q = W U
//   dx_l   = Delta_l e^{c_end - c_l} G B_l + sum_m W[l,m] dy_m + D dy_l
//
// and the sums of q[l,m] over m > l and over l < m. The two warps of a row
// of blocks share out its blocks of 16 columns (even ones, odd ones), show each other W, and take
// half of the channels each for dx.
#pragma once

#include "adder/kernels/cuda/ssd_backward_pairs.cuh"

namespace adder::kernels::cuda {

template <int P, int N>
class ScoreTeam {
 public:
  using Memory = TileMemory<P, N>;

  /// The warps of a scheduler, w and w + 4, have two or three blocks between them, of five.
  __device__ ScoreTeam(Memory& memory, const TileOf& tile)
      : memory_(memory),
        tile_(tile),
        warp_(__shfl_sync(kAllLanes, static_cast<int>(threadIdx.x / 32), 0)),
        lane_(threadIdx.x & 31),
        half_(warp_ / 4),
        block_row_(half_ == 0 ? warp_ : 7 - warp_),
        odd_(half_ ^ (block_row_ == 1)),
        row_(16 * block_row_ + lane_ / 4),
        column_(lane_ % 4 * 2),
        channel0_(half_ * (P / 2)) {
#pragma unroll
    for (auto& block : Z_)
#pragma unroll
      for (auto& part : block)
#pragma unroll
        for (float& z : part) z = 0;
  }

  /// B C^T, the same for all heads.
  __device__ __forceinline__ void make_scores() {
    const AlignedTile<N> B{shared_address(memory_.B)}, C{shared_address(memory_.C)};
#pragma unroll 1
    for (int block = block_row_; block < 4; ++block) {
      if (block % 2 != odd_) continue;
      float product[2][4] = {};
#pragma unroll
      for (int k = 0; k < N; k += 16) {
        uint32_t a[4], b[4];
        B.load_a(a, 16 * block_row_, k);
        C.load_b_of_rows(b, 16 * block, k);
        mma(product[0], a, b[0], b[1]);
        mma(product[1], a, b[2], b[3]);
      }
#pragma unroll
      for (int i = 0; i < 2; ++i)
        memory_.scores[block_pair(block_row_, block)][i][lane_] = {product[i][0], product[i][1],
                                                                   product[i][2], product[i][3]};
    }
  }

  __device__ __forceinline__ void head(const typename Memory::Head& in, const ChunkSteps& steps,
                                       HeadSums& sums, const Rows& dx, int head) {
    const AlignedTile<P> x{shared_address(in.x)}, dy{shared_address(in.dy)};
    float U[2][2][4] = {}, u[kTiles][4] = {};
    products(x, dy, U);
    carried(in, u);
    scale(steps, u);
    PairRow rows[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) rows[half] = pair_row(steps, row_ + 8 * half);
    ColumnSums columns;
#pragma unroll
    for (int block = 3; block >= 0; --block) {
      if (block < block_row_ || block % 2 != odd_) continue;
      if (block == block_row_ || tile_.documents.begins != 0)
        pairs<true>(steps, block, U[block / 2], Z_[block / 2], rows, columns);
      else
        pairs<false>(steps, block, U[block / 2], Z_[block / 2], rows, columns);
    }
    meet<64>(2 + block_row_);  // W is there
    add_weighted(dy, u);
    columns.write(sums.earlier[warp_]);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const PairRow& row = rows[half];
      const float later = row_sum(row.later), own = row_sum(row.own);
      if (lane_ % 4 != 0) continue;
      sums.later[odd_][row_ + 8 * half] = later;
      sums.direct[odd_][row_ + 8 * half] = row.per_step * (later + own);
    }
    if (block_row_ % 2 == odd_) {
      const float skip = sum_of_warp(rows[0].diagonal + rows[1].diagonal);
      if (lane_ == 0) sums.skip[block_row_] = skip;
    }
    if (dx.data != nullptr) write_dx(in, steps, u, dx, head);
  }

  /// Z, summed over the heads, as a tile (l, m).
  __device__ __forceinline__ void write_Z(const AlignedTile<kChunk>& to) const {
#pragma unroll
    for (int block = 0; block < 4; ++block) {
      if (block % 2 != odd_) continue;
#pragma unroll
      for (int i = 0; i < 2; ++i)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          to.store_pair(row_ + 8 * half, 16 * block + 8 * i + column_,
                        pack_bf16(Z_[block / 2][i][2 * half], Z_[block / 2][i][2 * half + 1]));
    }
  }

 private:
  static constexpr int kTiles = P / 16;  // of eight channels, half of all

  /// U[l, m] of this warp's blocks.
  __device__ __forceinline__ void products(const AlignedTile<P>& x, const AlignedTile<P>& dy,
                                           float (&U)[2][2][4]) const {
#pragma unroll
    for (int k = 0; k < P; k += 16) {
      uint32_t a[4], b[4];
      x.load_a(a, 16 * block_row_, k);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        if (2 * i + odd_ < block_row_) continue;
        dy.load_b_of_rows(b, 16 * (2 * i + odd_), k);
        mma(U[i][0], a, b[0], b[1]);
        mma(U[i][1], a, b[2], b[3]);
      }
    }
  }

  /// u = G B_l
  __device__ __forceinline__ void carried(const typename Memory::Head& in,
                                          float (&u)[kTiles][4]) const {
    const AlignedTile<N> B{shared_address(memory_.B)};
    const StateBlocks<N> G{shared_address(in.G)};
#pragma unroll
    for (int k = 0; k < N; k += 16) {
      uint32_t a[4], b[4];
      B.load_a(a, 16 * block_row_, k);
#pragma unroll
      for (int n = 0; n < kTiles; n += 2) {
        G.load_b_of_rows(b, channel0_ + 8 * n, k);
        mma(u[n], a, b[0], b[1]);
        mma(u[n + 1], a, b[2], b[3]);
      }
    }
  }

  /// u = Delta_l e^{c_end - c_l} u
  __device__ __forceinline__ void scale(const ChunkSteps& steps, float (&u)[kTiles][4]) const {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float weight = steps.weight[0][row_ + 8 * half];
#pragma unroll
      for (int n = 0; n < kTiles; ++n) u[n][2 * half] *= weight, u[n][2 * half + 1] *= weight;
    }
  }

  /// All that is made of 16 columns of U.
  template <bool kMasked>
  __device__ __forceinline__ void pairs(const ChunkSteps& steps, int block, const float (&U)[2][4],
                                        float (&Z)[2][4], PairRow (&rows)[2],
                                        ColumnSums& columns) const {
    const int place = block_pair(block_row_, block);
    uint32_t W[4];
    pair_terms<kMasked>(steps, memory_.begin, &memory_.scores[place][0][lane_], row_,
                        16 * block + column_, U, Z, rows, W, columns.of + 4 * block);
    memory_.W[place][lane_] = {W[0], W[1], W[2], W[3]};
  }

  /// u += W dy, this warp's channels.
  __device__ __forceinline__ void add_weighted(const AlignedTile<P>& dy,
                                               float (&u)[kTiles][4]) const {
#pragma unroll
    for (int block = 0; block < 4; ++block) {
      if (block < block_row_) continue;
      const uint4 all = memory_.W[block_pair(block_row_, block)][lane_];
      const uint32_t W[4] = {all.x, all.y, all.z, all.w};
#pragma unroll
      for (int n = 0; n < kTiles; n += 2) {
        uint32_t b[4];
        dy.load_b(b, 16 * block, channel0_ + 8 * n);
        mma(u[n], W, b[0], b[1]);
        mma(u[n + 1], W, b[2], b[3]);
      }
    }
  }

  /// dx_l = u_l + D dy_l
  __device__ __forceinline__ void write_dx(const typename Memory::Head& in, const ChunkSteps& steps,
                                           const float (&u)[kTiles][4], const Rows& dx,
                                           int head) const {
    const AlignedTile<P> dy{shared_address(in.dy)};
    uint32_t pairs[2][kTiles];
#pragma unroll
    for (int n = 0; n < kTiles; n += 2) {
      uint32_t own[4];
      dy.load_a(own, 16 * block_row_, channel0_ + 8 * n);
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float2 D =
            *reinterpret_cast<const float2*>(in.skip + channel0_ + 8 * (n + i) + column_);
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          const uint32_t pair = own[2 * i + half];
          pairs[half][n + i] = pack_bf16(u[n + i][2 * half] + D.x * low_bf16(pair),
                                         u[n + i][2 * half + 1] + D.y * high_bf16(pair));
        }
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int64_t token = tile_.first + row_ + 8 * half;
      __nv_bfloat16* to = dx.at(tile_.batch, token, head) + channel0_;
      if constexpr (kTiles == 4) {
        gather_cell(pairs[half]);
        if (token < tile_.length)
          *reinterpret_cast<uint4*>(to + 8 * (lane_ % 4)) = {pairs[half][0], pairs[half][1],
                                                             pairs[half][2], pairs[half][3]};
      } else if (token < tile_.length) {
#pragma unroll
        for (int n = 0; n < kTiles; ++n)
          *reinterpret_cast<uint32_t*>(to + 8 * n + column_) = pairs[half][n];
      }
    }
  }

  Memory& memory_;
  const TileOf& tile_;
  const int warp_, lane_, half_, block_row_, odd_, row_, column_, channel0_;
  float Z_[2][2][4];  // block 2 i + odd, columns 8 j ..
};

}  // namespace adder::kernels::cuda
