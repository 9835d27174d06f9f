// The key teams of the Hopper tile_kernel, a warpgroup for dB and one for dC. For every head
//
//   dB_l += G^T (Delta_l e^{c_end - c_l} x_l)       dC_m += S^T (e^{c_m} dy_m)
//                                                   a1_m = e^{c_m} S C_m . dy_m
//
// and once, with Z summed over the heads: dB_l += sum_m Z[l,m] C_m, dC_m += sum_l Z[l,m] B_l.
#pragma once

#include "adder/kernels/cuda/ssd_backward_key_rows.cuh"
#include "adder/kernels/cuda/ssd_backward_tile_sm90.cuh"

namespace adder::kernels::cuda {

/// A weight as the sum of two bf16, each twice.
struct RowWeight {
  __nv_bfloat162 first, second;

  __device__ __forceinline__ explicit RowWeight(float weight)
      : first(__float2bfloat162_rn(weight)),
        second(__float2bfloat162_rn(weight - __low2float(first))) {}
  /// Two bf16 times the weight, rounded once (but for what the second part weighs).
  __device__ __forceinline__ uint32_t operator()(uint32_t both) const {
    const __nv_bfloat162 pair = *reinterpret_cast<const __nv_bfloat162*>(&both);
    const __nv_bfloat162 product = __hfma2(pair, first, __hmul2(pair, second));
    return *reinterpret_cast<const uint32_t*>(&product);
  }
};

template <int N, bool kOfC>
class KeyTeamSm90 {
 public:
  using Memory = TileMemorySm90<N>;

  __device__ KeyTeamSm90(Memory& memory, const TileOf& tile)
      : memory_(memory),
        tile_(tile),
        warp_(__shfl_sync(kAllLanes, static_cast<int>(threadIdx.x % kTeam / 32), 0)),
        lane_(threadIdx.x & 31) {
#pragma unroll
    for (float& g : gradient_) g = 0;
  }

  /// Head number i of the tile.
  __device__ __forceinline__ void head(int i) {
    constexpr int kSlots = Memory::kTokenSlots;
    const auto& in = memory_.tokens[i % kSlots];
    const auto& states = memory_.states[i % Memory::kStateSlots];
    const AlignedTile<kHeadDim> Y{shared_address(kOfC ? in.dy : in.x)};
    const float* weight = memory_.steps[i % kSlots].weight[kOfC] + 16 * warp_ + lane_ / 4;
    uint32_t y[4][4];
#pragma unroll
    for (int k = 0; k < 4; ++k) Y.load_a(y[k], 16 * warp_, 16 * k);
    if constexpr (kOfC) add_into(states, y, weight, memory_.sums[i % kSlots]);
    const RowWeight of_row[2] = {RowWeight(weight[0]), RowWeight(weight[8])};
#pragma unroll
    for (int k = 0; k < 4; ++k)
#pragma unroll
      for (int e = 0; e < 4; ++e) y[k][e] = of_row[e % 2](y[k][e]);
    if (!kOfC) arrive_warp(memory_.x_read[i % kSlots]);
    constexpr int kDown = StateBlocks<N>::block(8, 0) * 128;
    const Operand T = blocks_operand(shared_address(kOfC ? states.S : states.G), kDown);
    pin(y);
    pin(gradient_);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k) wgmma<true>(gradient_, y[k], T.at(2 * kDown * k), true);
    wgmma_commit();
    add_states(states, memory_.sums[i % kSlots]);
    arrive_warp(memory_.summed[i % kSlots]);
    wgmma_wait<0>();
    pin(gradient_);
    pin(y);
    arrive_warp(memory_.states_done[i % Memory::kStateSlots]);
  }

  /// The part of the scores, Z (l, m).
  __device__ __forceinline__ void add_scores(const AlignedTile<kChunk>& Z) {
    const Operand other = columns_operand(shared_address(kOfC ? memory_.B : memory_.C));
    uint32_t z[4][4];
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (kOfC)
        Z.load_a_transposed(z[k], 16 * k, 16 * warp_);
      else
        Z.load_a(z[k], 16 * warp_, 16 * k);
    }
    pin(z);
    pin(gradient_);
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < 4; ++k) wgmma<true>(gradient_, z[k], other.at(2048 * k), true);
    wgmma_commit();
    wgmma_wait<0>();
    pin(gradient_);
    pin(z);
  }

  __device__ __forceinline__ void write(const Tiles& all) const {
    write_keys<N>(all, tile_, kOfC, 16 * warp_,
                  reinterpret_cast<const float(&)[N / 8][4]>(gradient_));
  }

 private:
  /// a1, by halves of the channels.
  __device__ __forceinline__ void add_into(const typename Memory::States& states,
                                           const uint32_t (&dy)[4][4], const float* weight,
                                           HeadSumsSm90& sums) const {
    constexpr int kDown = StateBlocks<N>::block(8, 0) * 128;
    const Operand S = block_rows_operand(shared_address(states.S), kDown);
    float dot[2] = {};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float product[2][2][4];  // of 32 channels
      auto& flat = reinterpret_cast<Accumulator<32>&>(product);
      wgmma_fence();
#pragma unroll
      for (int k = 0; k < N / 16; ++k)
        wgmma(flat, keys_operand(memory_.C, k), S.at(4 * half * kDown + 256 * k), k > 0);
      wgmma_commit();
      wgmma_wait<0>();
      pin(flat);
#pragma unroll
      for (int k = 0; k < 2; ++k) add_dots(dot, product[k], dy[2 * half + k]);
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float sum = weight[8 * r] * row_sum(dot[r]);
      if (lane_ % 4 == 0) sums.into[16 * warp_ + lane_ / 4 + 8 * r] = sum;
    }
  }

  /// A part of <S, G>: the diagonal of S G^T, 16 channels and half of the states.
  __device__ __forceinline__ void add_states(const typename Memory::States& in,
                                             HeadSumsSm90& sums) const {
    const float sum = diagonal_part<N>({shared_address(in.S)}, {shared_address(in.G)}, 16 * warp_,
                                       kOfC * (N / 2));
    if (lane_ == 0) sums.states[4 * kOfC + warp_] = sum;
  }

  Memory& memory_;
  const TileOf& tile_;
  const int warp_, lane_;
  Accumulator<N> gradient_;
};

}  // namespace adder::kernels::cuda
