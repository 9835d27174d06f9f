// What the key teams of both tile kernels share.
#pragma once

#include "adder/kernels/cuda/ssd_backward_tile.cuh"

namespace adder::kernels::cuda {

/// Of <S, G>, the channels from `row` to row + 15 and half of the states, from `column` on: on the
/// diagonal of S G^T. A warp; all lanes have the sum.
template <int N>
__device__ __forceinline__ float diagonal_part(const StateBlocks<N>& S, const StateBlocks<N>& G,
                                               int row, int column) {
  float product[2][4] = {};
#pragma unroll
  for (int k = 0; k < N / 2; k += 16) {
    uint32_t a[4], b[4];
    S.load_a(a, row, column + k);
    G.load_b_of_rows(b, row, column + k);
    mma(product[0], a, b[0], b[1]);
    mma(product[1], a, b[2], b[3]);
  }
  const int g = threadIdx.x % 32 / 4, n = threadIdx.x % 4 * 2;
  return sum_of_warp((n == g ? product[0][0] + product[1][2] : 0.f) +
                     (n + 1 == g ? product[0][1] + product[1][3] : 0.f));
}

/// Rows row0 .. row0 + 15 of the chunk's gradient of B or C, from fragments: where the heads are
/// cut into blocks as a partial sum, else as the gradient itself.
template <int N>
__device__ __forceinline__ void write_keys(const Tiles& all, const TileOf& tile, bool of_C,
                                           int row0, const float (&gradient)[N / 8][4]) {
  const int lane = threadIdx.x & 31;
  float* part = of_C ? all.space.dC : all.space.dB;
  const Rows& whole = of_C ? all.grad_C : all.grad_B;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int64_t token = tile.first + row0 + 8 * r + lane / 4;
    if (part != nullptr) {
      const int64_t row =
          (int64_t{tile.block} * all.sizes.batch + tile.batch) * tile.length + token;
      float* to = part + (row * all.sizes.groups + tile.group) * N + lane % 4 * 2;
#pragma unroll
      for (int n = 0; n < N / 8; ++n)
        if (token < tile.length)
          *reinterpret_cast<float2*>(to + 8 * n) = {gradient[n][2 * r], gradient[n][2 * r + 1]};
    } else if (whole.data != nullptr) {
#pragma unroll
      for (int n = 0; n < N / 8; n += 4) {
        uint32_t cell[4];
#pragma unroll
        for (int i = 0; i < 4; ++i)
          cell[i] = pack_bf16(gradient[n + i][2 * r], gradient[n + i][2 * r + 1]);
        gather_cell(cell);
        if (token < tile.length)
          *reinterpret_cast<uint4*>(whole.at(tile.batch, token, tile.group) +
                                    8 * (n + lane % 4)) = {cell[0], cell[1], cell[2], cell[3]};
      }
    }
  }
}

}  // namespace adder::kernels::cuda
