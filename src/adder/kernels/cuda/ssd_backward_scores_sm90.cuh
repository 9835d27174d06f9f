// The score teams of the Hopper tile_kernel: two warpgroups that take the heads in turn, warp w for
// tokens l = 16 w .. 16 w + 15. With F[l,m] = Delta_l e^{c_m - c_l}, m >= l:
//
//   U[l,m] = x_l . dy_m      Z += F U      W = (B_l . C_m) F      q = W U
//   a2_l = Delta_l e^{c_end - c_l} G B_l . x_l
//   dx_l = Delta_l e^{c_end - c_l} G B_l + sum_m W[l,m] dy_m + D dy_l
//
// and the sums of q[l,m] over m > l and over l < m, from which one warp finishes the gradients of
// the scalars.
#pragma once

#include "adder/kernels/cuda/ssd_backward_finish.cuh"
#include "adder/kernels/cuda/ssd_backward_pairs.cuh"
#include "adder/kernels/cuda/ssd_backward_tile_sm90.cuh"

namespace adder::kernels::cuda {

template <int N>
class ScoreTeamSm90 {
 public:
  using Memory = TileMemorySm90<N>;
  using Tokens = typename Memory::Tokens;
  using States = typename Memory::States;

  __device__ ScoreTeamSm90(Memory& memory, const TileOf& tile)
      : memory_(memory),
        tile_(tile),
        warp_(__shfl_sync(kAllLanes, static_cast<int>(threadIdx.x / 32), 0)),
        lane_(threadIdx.x & 31),
        block_row_(warp_ % 4),
        row_(16 * block_row_ + lane_ / 4),
        column_(lane_ % 4 * 2) {
#pragma unroll
    for (float& z : flat(Z_)) z = 0;
  }

  /// B C^T, the same for all heads; one team.
  __device__ __forceinline__ void make_scores() {
    Square product;
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < N / 16; ++k)
      wgmma(flat(product), keys_operand(memory_.B, k), keys_operand(memory_.C, k), k > 0);
    wgmma_commit();
    wgmma_wait<0>();
    pin(flat(product));
#pragma unroll
    for (int block = 0; block < 4; ++block) {
      if (block < block_row_) continue;
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const auto& p = product[block][i];
        memory_.scores[block_pair(block_row_, block)][i][lane_] = {p[0], p[1], p[2], p[3]};
      }
    }
  }

  /// Head number i of the tile.
  __device__ __forceinline__ void head(int i, const Tiles& all) {
    constexpr int kSlots = Memory::kTokenSlots;
    Tokens& in = memory_.tokens[i % kSlots];
    const ChunkSteps& steps = memory_.steps[i % kSlots];
    HeadSumsSm90& sums = memory_.sums[i % kSlots];
    Square U, u;
    begin_products(in, memory_.states[i % Memory::kStateSlots], U, u);
    uint32_t W[4][4];
    ColumnSums columns;
    all_pairs(steps, sums, U, W, columns);
    end_carried(in, steps, sums, u);
    arrive_warp(memory_.states_done[i % Memory::kStateSlots]);
    begin_weighted(in, W, u);
    columns.write(sums.earlier[block_row_]);
    end_weighted(W, u);
    if (all.dx.data != nullptr) {
      memory_.wait_tokens(memory_.x_read, i);
      write_dx(in, memory_.skip[i % kSlots], u, all.dx, i);
    }
    if (block_row_ == 3) {  // this warp had the fewest pairs
      memory_.wait_tokens(memory_.summed, i);
      finish_steps(all, tile_, sums, steps, tile_.head0 + i);
    } else {
      arrive_warp(memory_.summed[i % kSlots]);
    }
    arrive_warp(memory_.tokens_done[i % kSlots]);
  }

  /// Z of both teams, summed over the heads, as a tile (l, m); `spare` holds a matrix of f32.
  __device__ __forceinline__ void write_Z(const AlignedTile<kChunk>& to, float4* spare) const {
    const int place = block_row_ * 32 + lane_;
    if (warp_ >= 4) {
#pragma unroll
      for (int n = 0; n < 8; ++n) {
        const auto& z = Z_[n / 2][n % 2];
        spare[n * 128 + place] = {z[0], z[1], z[2], z[3]};
      }
    }
    meet<2 * kTeam>();
    if (warp_ >= 4) return;
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      const auto& z = Z_[n / 2][n % 2];
      const float4 other = spare[n * 128 + place];
      to.store_pair(row_, 8 * n + column_, pack_bf16(z[0] + other.x, z[1] + other.y));
      to.store_pair(row_ + 8, 8 * n + column_, pack_bf16(z[2] + other.z, z[3] + other.w));
    }
  }

 private:
  /// 64 x 64: [block of 16 columns][8 of them][in the fragment]
  using Square = float[4][2][4];
  static __device__ __forceinline__ Accumulator<64>& flat(Square& square) {
    return reinterpret_cast<Accumulator<64>&>(square);
  }

  /// U, and u = G B_l under way.
  __device__ __forceinline__ void begin_products(const Tokens& in, const States& states, Square& U,
                                                 Square& u) const {
    const AlignedTile<kHeadDim> x{shared_address(in.x)};
    const Operand dy = rows_operand(shared_address(in.dy)),
                  G = block_rows_operand(shared_address(states.G),
                                         StateBlocks<N>::block(8, 0) * 128);
    uint32_t rows[4][4];
#pragma unroll
    for (int k = 0; k < 4; ++k) x.load_a(rows[k], 16 * block_row_, 16 * k);
    pin(rows);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k) wgmma<false>(flat(U), rows[k], dy.at(32 * k), k > 0);
    wgmma_commit();
#pragma unroll
    for (int k = 0; k < N / 16; ++k)
      wgmma(flat(u), keys_operand(memory_.B, k), G.at(256 * k), k > 0);
    wgmma_commit();
    wgmma_wait<1>();
    pin(flat(U));
    pin(rows);
  }

  /// a2, and u = Delta_l e^{c_end - c_l} G B_l
  __device__ __forceinline__ void end_carried(const Tokens& in, const ChunkSteps& steps,
                                              HeadSumsSm90& sums, Square& u) const {
    const AlignedTile<kHeadDim> x{shared_address(in.x)};
    float dot[2] = {};
    wgmma_wait<0>();
    pin(flat(u));
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      uint32_t rows[4];
      x.load_a(rows, 16 * block_row_, 16 * k);
      add_dots(dot, u[k], rows);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int l = row_ + 8 * half;
      const float sum = steps.to_end[l] * row_sum(dot[half]), weight = steps.weight[0][l];
      if (lane_ % 4 == 0) sums.out_of[l] = sum;
#pragma unroll
      for (int n = 0; n < 8; ++n)
#pragma unroll
        for (int e = 0; e < 2; ++e) u[n / 2][n % 2][2 * half + e] *= weight;
    }
  }

  /// W of this warp's blocks, zeros where m < l for all of a block.
  __device__ __forceinline__ void all_pairs(const ChunkSteps& steps, HeadSumsSm90& sums,
                                            const Square& U, uint32_t (&W)[4][4],
                                            ColumnSums& columns) {
    PairRow rows[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) rows[half] = pair_row(steps, row_ + 8 * half);
#pragma unroll
    for (int block = 0; block < 4; ++block) {
      if (block < block_row_) {
#pragma unroll
        for (int i = 0; i < 4; ++i) W[block][i] = 0;
      } else if (block == block_row_ || tile_.documents.begins != 0) {
        pairs<true>(steps, block, U[block], W[block], rows, columns);
      } else {
        pairs<false>(steps, block, U[block], W[block], rows, columns);
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const PairRow& row = rows[half];
      const float later = row_sum(row.later), own = row_sum(row.own);
      if (lane_ % 4 != 0) continue;
      sums.later[0][row_ + 8 * half] = later;
      sums.direct[0][row_ + 8 * half] = row.per_step * (later + own);
    }
    const float skip = sum_of_warp(rows[0].diagonal + rows[1].diagonal);
    if (lane_ == 0) sums.skip[block_row_] = skip;
  }
  template <bool kMasked>
  __device__ __forceinline__ void pairs(const ChunkSteps& steps, int block, const float (&U)[2][4],
                                        uint32_t (&W)[4], PairRow (&rows)[2], ColumnSums& columns) {
    pair_terms<kMasked>(steps, memory_.begin,
                        &memory_.scores[block_pair(block_row_, block)][0][lane_], row_,
                        16 * block + column_, U, Z_[block], rows, W, columns.of + 4 * block);
  }

  /// u += W dy
  static __device__ __forceinline__ void begin_weighted(const Tokens& in, uint32_t (&W)[4][4],
                                                        Square& u) {
    pin(W);
    pin(flat(u));
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k)
      wgmma<true>(flat(u), W[k], columns_operand(shared_address(in.dy)).at(2048 * k), true);
    wgmma_commit();
  }
  static __device__ __forceinline__ void end_weighted(uint32_t (&W)[4][4], Square& u) {
    wgmma_wait<0>();
    pin(flat(u));
    pin(W);
  }

  /// dx_l = u_l + D dy_l, by way of this warp's rows of x.
  __device__ __forceinline__ void write_dx(Tokens& in, const float* skip, const Square& u,
                                           const Rows& dx, int i) const {
    const AlignedTile<kHeadDim> dy{shared_address(in.dy)}, out{shared_address(in.x)};
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      uint32_t own[4], packed[4];
      dy.load_a(own, 16 * block_row_, 16 * k);
#pragma unroll
      for (int e = 0; e < 4; ++e) {
        const float2 D = *reinterpret_cast<const float2*>(skip + 16 * k + e / 2 * 8 + column_);
        const float* pair = &u[k][e / 2][2 * (e % 2)];
        packed[e] = pack_bf16(pair[0] + D.x * low_bf16(own[e]), pair[1] + D.y * high_bf16(own[e]));
      }
      store_matrices(out.cell(16 * block_row_ + (lane_ & 15), 2 * k + (lane_ >> 4)), packed);
    }
    __syncwarp();
    const int row0 = 16 * block_row_ + lane_ / 8;
    const int64_t first = tile_.first + row0;
    __nv_bfloat16* to = dx.at(tile_.batch, first, tile_.head0 + i) + lane_ % 8 * 8;
#pragma unroll
    for (int pass = 0; pass < 16; pass += 4) {
      const uint4 cell = out.read_cell(row0 + pass, lane_ % 8);
      if (first + pass < tile_.length)
        *reinterpret_cast<uint4*>(to + pass * dx.token_stride) = cell;
    }
  }

  Memory& memory_;
  const TileOf& tile_;
  const int warp_, lane_, block_row_, row_, column_;
  Square Z_;
};

}  // namespace adder::kernels::cuda
