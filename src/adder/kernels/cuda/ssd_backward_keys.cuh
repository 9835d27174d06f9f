// The key teams of tile_kernel, one for dB and one for dC: four warps each, warp w for tokens 16 w
// .. 16 w + 15. For every head
//
//   dB_l += Delta_l e^{c_end - c_l} G^T x_l       a2_l = B_l . this term
//   dC_m += e^{c_m} S^T dy_m                      a1_m = C_m . this term
//
// and once, with Z summed over the heads: dB_l += sum_m Z[l,m] C_m, dC_m += sum_l Z[l,m] B_l.
#pragma once

#include "adder/kernels/cuda/ssd_backward_key_rows.cuh"

namespace adder::kernels::cuda {

template <int P, int N>
class KeyTeam {
 public:
  using Memory = TileMemory<P, N>;

  /// `warp` of four.
  __device__ KeyTeam(Memory& memory, const TileOf& tile, bool of_C, int warp)
      : memory_(memory),
        tile_(tile),
        of_C_(of_C),
        warp_(__shfl_sync(kAllLanes, warp, 0)),
        lane_(threadIdx.x & 31),
        row0_(16 * warp_) {
#pragma unroll
    for (auto& part : gradient_)
#pragma unroll
      for (float& g : part) g = 0;
  }

  __device__ __forceinline__ void head(const typename Memory::Head& in, const ChunkSteps& steps,
                                       HeadSums& sums) {
    states(in, sums);
    add(of_C_ ? in.dy : in.x, of_C_ ? in.S : in.G, of_C_ ? memory_.C : memory_.B,
        of_C_ ? steps.weight[1] : steps.to_end, steps.weight[of_C_],
        of_C_ ? sums.into : sums.out_of);
  }

  /// The part of the scores, Z (l, m).
  __device__ __forceinline__ void add_scores(const AlignedTile<kChunk>& Z) {
    const AlignedTile<N> other{shared_address(of_C_ ? memory_.B : memory_.C)};
#pragma unroll
    for (int k = 0; k < kChunk; k += 16) {
      uint32_t a[4];
      if (of_C_)
        Z.load_a_transposed(a, k, row0_);
      else
        Z.load_a(a, row0_, k);
#pragma unroll
      for (int n = 0; n < kTiles; n += 2) {
        uint32_t b[4];
        other.load_b(b, k, 8 * n);
        mma(gradient_[n], a, b[0], b[1]);
        mma(gradient_[n + 1], a, b[2], b[3]);
      }
    }
  }

  __device__ __forceinline__ void write(const Tiles& all) const {
    write_keys<N>(all, tile_, of_C_, row0_, gradient_);
  }

 private:
  static constexpr int kTiles = N / 8, kHalf = kTiles / 2;  // of eight states
  using Half = float[kHalf][4];

  /// A part of <S, G>: of 16 channels and half of the states.
  __device__ __forceinline__ void states(const typename Memory::Head& in, HeadSums& sums) const {
    const float sum = row0_ < P ? diagonal_part<N>({shared_address(in.S)}, {shared_address(in.G)},
                                                   row0_, of_C_ * (N / 2))
                                : 0.f;
    if (lane_ == 0) sums.states[4 * of_C_ + warp_] = sum;
  }

  /// product = Y T for half of the states from `column` on; y of this warp's rows.
  static __device__ __forceinline__ void multiply(Half& product, const uint32_t (&y)[P / 16][4],
                                                  const StateBlocks<N>& T, int column) {
#pragma unroll
    for (int n = 0; n < kHalf; n += 2) {
#pragma unroll
      for (int e = 0; e < 4; ++e) product[n][e] = product[n + 1][e] = 0;
#pragma unroll
      for (int k = 0; k < P / 16; ++k) {
        uint32_t b[4];
        T.load_b(b, 16 * k, column + 8 * n);
        mma(product[n], y[k], b[0], b[1]);
        mma(product[n + 1], y[k], b[2], b[3]);
      }
    }
  }

  /// gradient += weight_row Y T; dots = factor_row <row of keys, row of Y T>.
  __device__ __forceinline__ void add(const __nv_bfloat16* rows, const __nv_bfloat16* state,
                                      const __nv_bfloat16* keys, const float* factor,
                                      const float* weight, float* dots) {
    const AlignedTile<P> Y{shared_address(rows)};
    const StateBlocks<N> T{shared_address(state)};
    const AlignedTile<N> K{shared_address(keys)};
    uint32_t y[P / 16][4];
#pragma unroll
    for (int k = 0; k < P / 16; ++k) Y.load_a(y[k], row0_, 16 * k);
    const int row = row0_ + lane_ / 4;
    const float outer[2] = {weight[row], weight[row + 8]};
    float dot[2][2] = {};  // of a row, even and odd columns
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      Half product;
      multiply(product, y, T, half * (N / 2));
#pragma unroll
      for (int n = 0; n < kHalf; n += 2) {
        uint32_t key[4];
        K.load_a(key, row0_, half * (N / 2) + 8 * n);
#pragma unroll
        for (int i = 0; i < 2; ++i)
#pragma unroll
          for (int r = 0; r < 2; ++r) {
            const float low = product[n + i][2 * r], high = product[n + i][2 * r + 1];
            float(&to)[4] = gradient_[half * kHalf + n + i];
            dot[r][0] = fmaf(low, low_bf16(key[2 * i + r]), dot[r][0]);
            dot[r][1] = fmaf(high, high_bf16(key[2 * i + r]), dot[r][1]);
            to[2 * r] += outer[r] * low;
            to[2 * r + 1] += outer[r] * high;
          }
      }
    }
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      const float sum = factor[row + 8 * r] * row_sum(dot[r][0] + dot[r][1]);
      if (lane_ % 4 == 0) dots[row + 8 * r] = sum;
    }
  }

  Memory& memory_;
  const TileOf& tile_;
  const bool of_C_;
  const int warp_, lane_, row0_;
  float gradient_[kTiles][4];  // rows row0 .., columns 8 n ..
};

}  // namespace adder::kernels::cuda
