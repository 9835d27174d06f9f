// A chunk of 64 tokens whose decays are taken pair by pair: every exponent is <= 0, and documents
// may begin anywhere in it.
#pragma once

#include "adder/kernels/cuda/ssd_chunk_sm90.cuh"

namespace adder::kernels::cuda {

/// M_ls Delta_s 2^(c_l - c_s) where s <= l and both are of one document, else 0, into
/// `decayed_tile`.
__device__ __forceinline__ void decay_scores(const ChunkTiles& tiles, const HeadTokens& tokens,
                                             Tile<64> decayed_tile, int warp) {
  const int lane = threadIdx.x & 31, g = lane / 4;
#pragma unroll 1
  for (int k = 0; k < 4; ++k) {
    uint32_t M[4];
    tiles.M.load_a(M, 16 * warp, 16 * k);
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int l = 16 * warp + g + i % 2 * 8, s = 16 * k + lane % 4 * 2 + i / 2 * 8;
      const int start = document_start(tokens.documents.begins, l);
      const auto decayed = [&](float score, int s) {
        const float factor = tokens.weight[s] * ex2(tokens.decay[l] - tokens.decay[s]);
        return start <= s && s <= l ? score * factor : 0.f;
      };
      M[i] = pack_bf16(decayed(low_bf16(M[i]), s), decayed(high_bf16(M[i]), s + 1));
    }
    store_matrices(decayed_tile.cell(16 * warp + (lane & 15), 2 * k + (lane >> 4)), M);
  }
}

/// X^T o (Delta_s 2^(c_last - c_s)), of the tokens of the chunk's last document.
__device__ __forceinline__ void weigh_to_end(uint32_t (&x)[4], const HeadTokens& tokens, int k) {
  const int start = document_start(tokens.documents.begins, kChunk - 1);
  const float last = tokens.decay[kChunk - 1];
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int s = 16 * k + threadIdx.x % 4 * 2 + i / 2 * 8;
    const auto weighed = [&](float value, int s) {
      return s >= start ? value * tokens.weight[s] * ex2(last - tokens.decay[s]) : 0.f;
    };
    x[i] = pack_bf16(weighed(low_bf16(x[i]), s), weighed(high_bf16(x[i]), s + 1));
  }
}

/// A chunk whose decays are taken pair by pair; s is S but for `due`, then the new S.
template <int N, bool kGated>
__device__ __forceinline__ void direct_chunk(Accumulator<N>& s, float due, const ChunkTiles& tiles,
                                             const HeadTokens& tokens, HeadOutput& out) {
  uint32_t x[4][4];
  Accumulator<64> y;
  const Documents documents = tokens.documents;
  multiply_state<N, 64>(y, s, due, rows_operand(tiles.C));
  send_output(out);
  const Tile<64> decayed_tile = out.tile(out.chunk);  // y comes into it later
  out.wait_tile(out.chunk);
  decay_scores(tiles, tokens, decayed_tile, out.warp);
  async_fence();
  warpgroup_barrier(out.barrier);
  wgmma_wait<0>();
  pin(y);
  const int t = threadIdx.x % 4 * 2;
#pragma unroll
  for (int i = 0; i < 32; ++i) {  // 2^(c_l) S C_l, of the document that was carried in
    const int l = i / 4 * 8 + t + i % 2;
    y[i] = document_start(documents.begins, l) < 0 ? y[i] * ex2(tokens.decay[l]) : 0.f;
  }
  pin(s);
  const bool carried = documents.begins == 0;
  const float decay = ex2(tokens.decay[kChunk - 1]);
#pragma unroll
  for (int i = 0; i < N / 2; ++i) s[i] = carried ? s[i] * decay : 0.f;
#pragma unroll
  for (int k = 0; k < 4; ++k) load_channels(x[k], tiles.x, out.warp, 16 * k);
  pin(x);
  pin(y);
  wgmma_fence();
  multiply_scores<64>(y, x, rows_operand(decayed_tile.address));
  wgmma_commit();
  wgmma_wait<0>();
  pin(y);
  pin(x);
#pragma unroll
  for (int k = 0; k < 4; ++k) weigh_to_end(x[k], tokens, k);
  pin(x);
  pin(s);
  wgmma_fence();
  add_inputs<N>(s, x, columns_operand(tiles.B));
  wgmma_commit();
  wgmma_wait<0>();
  pin(s);
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    constexpr float2 kOnes[2] = {{1.f, 1.f}, {1.f, 1.f}};
    load_channels(x[k], tiles.x, out.warp, 16 * k);
    finish_output<kGated, true>(out, k, y + 8 * k, x[k], kOnes, tiles, tokens);
  }
  warpgroup_barrier(out.barrier);  // all have read the decayed M
}

}  // namespace adder::kernels::cuda
