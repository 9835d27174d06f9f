// Brings the heads of the Hopper tile_kernel to shared memory.
#pragma once

#include "adder/kernels/cuda/ssd_backward_tile_sm90.cuh"

namespace adder::kernels::cuda {

/// A thread of a team.
template <int N>
class HeadLoaderSm90 {
 public:
  using Memory = TileMemorySm90<N>;

  __device__ HeadLoaderSm90(const Tiles& all, const TileOf& tile, Memory& memory, int thread)
      : all_(all), tile_(tile), memory_(memory), thread_(thread) {}

  /// B or C.
  __device__ __forceinline__ void load_keys(const __nv_bfloat16* to, const Rows& from) const {
#pragma unroll
    for (int n = 0; n < N; n += 64)
      copy_rows(to + kChunk * n, from.at(tile_.batch, tile_.first, tile_.group) + n,
                from.token_stride);
    arrive_with_copies(shared_address(&memory_.keys_full));
  }

  /// Of head number i of the tile, whose place is free.
  __device__ __forceinline__ void load_states(int i) const {
    if (thread_ != 0 || i >= tile_.heads) return;
    typename Memory::States& to = memory_.states[i % Memory::kStateSlots];
    const uint32_t full = shared_address(&memory_.states_full[i % Memory::kStateSlots]);
    const int64_t at = unit(i) * kHeadDim * N;
    arrive_with_bytes(full, sizeof(to));
    copy_bulk(shared_address(to.S), all_.space.before + at, sizeof(to.S), full);
    copy_bulk(shared_address(to.G), all_.space.after + at, sizeof(to.G), full);
  }
  __device__ __forceinline__ void load_tokens(int i) const {
    if (i >= tile_.heads) return;
    const int head = tile_.head0 + i, slot = i % Memory::kTokenSlots;
    typename Memory::Tokens& to = memory_.tokens[slot];
    const uint32_t full = shared_address(&memory_.tokens_full[slot]);
    if (thread_ == 0) {
      arrive_with_bytes(full, sizeof(ChunkSteps));
      copy_bulk(shared_address(&memory_.steps[slot]), all_.space.steps + unit(i),
                sizeof(ChunkSteps), full);
    }
    copy_rows(to.dy, all_.dy.at(tile_.batch, tile_.first, head), all_.dy.token_stride);
    copy_rows(to.x, all_.x.at(tile_.batch, tile_.first, head), all_.x.token_stride);
    if (all_.D != nullptr && thread_ < kHeadDim)
      copy4_async(shared_address(&memory_.skip[slot][thread_]),
                  all_.D + head * all_.D_head_stride + thread_ * all_.D_channel_stride);
    arrive_with_copies(full);
  }

 private:
  __device__ __forceinline__ int64_t unit(int i) const {
    return all_.sizes.unit(tile_.batch, tile_.head0 + i, tile_.chunk);
  }

  /// A tile of 64 rows from `from` on; zeros at padding.
  __device__ __forceinline__ void copy_rows(const __nv_bfloat16* to, const __nv_bfloat16* from,
                                            int64_t stride) const {
    constexpr int kAtOnce = kTeam / 8;
    const int row0 = thread_ / 8, cell = thread_ % 8;
    const uint32_t place = AlignedTile<64>{shared_address(to)}.cell(row0, cell);
    const __nv_bfloat16* row = from + row0 * stride + cell * 8;
#pragma unroll
    for (int pass = 0; pass < kChunk / kAtOnce; ++pass, row += kAtOnce * stride) {
      const bool valid = !(tile_.documents.padding >> (row0 + pass * kAtOnce) & 1);
      copy16_async(place + pass * kAtOnce * 128, valid ? row : from, valid);
    }
  }

  const Tiles& all_;
  const TileOf& tile_;
  Memory& memory_;
  const int thread_;
};

}  // namespace adder::kernels::cuda
