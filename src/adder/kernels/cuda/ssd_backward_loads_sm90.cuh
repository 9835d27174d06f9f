// Brings the heads of the Hopper tile_kernel to shared memory.
#pragma once

#include "adder/kernels/cuda/ssd_backward_tile_sm90.cuh"

namespace adder::kernels::cuda {

/// The heads of a block's tiles, one after the other: the next to bring in.
class NextHead {
 public:
  __device__ explicit NextHead(const Tiles& all)
      : number_(static_cast<int>(blockIdx.x)), left_(true), tile_(all, number_) {}

  __device__ __forceinline__ bool left() const { return left_; }
  __device__ __forceinline__ const TileOf& tile() const { return tile_; }
  __device__ __forceinline__ int head() const { return tile_.head0 + in_tile_; }
  __device__ __forceinline__ void next(const Tiles& all) {
    if (++in_tile_ < tile_.heads) return;
    in_tile_ = 0;
    number_ += static_cast<int>(gridDim.x);
    left_ = number_ < tile_count(all);
    if (left_) tile_ = TileOf(all, number_);
  }

 private:
  int number_, in_tile_ = 0;
  bool left_;
  TileOf tile_;
};

/// A thread of a team.
template <int N>
class HeadLoader {
 public:
  using Memory = TileMemorySm90<N>;

  __device__ HeadLoader(const Tiles& all, Memory& memory)
      : all_(all), memory_(memory), thread_(static_cast<int>(threadIdx.x % kTeam)), next_(all) {}

  /// B or C.
  __device__ __forceinline__ void load_keys(const TileOf& tile, const __nv_bfloat16* to,
                                            const Rows& from) const {
#pragma unroll
    for (int n = 0; n < N; n += 64)
      copy_rows(tile, to + kChunk * n, from.at(tile.batch, tile.first, tile.group) + n,
                from.token_stride);
    arrive_with_copies(shared_address(&memory_.keys_full));
  }

  /// The states of the block's heads up to number `end`, as their places become free.
  __device__ __forceinline__ void load_states(int end) {
    for (; loaded_ < end && next_.left(); ++loaded_, next_.next(all_)) {
      if (loaded_ >= Memory::kStateSlots)
        memory_.wait_states(memory_.states_done, loaded_ - Memory::kStateSlots);
      if (thread_ == 0) load_states();
    }
  }
  /// What the tokens are to them, likewise.
  __device__ __forceinline__ void load_tokens(int end) {
    for (; loaded_ < end && next_.left(); ++loaded_, next_.next(all_)) {
      if (loaded_ >= Memory::kTokenSlots)
        memory_.wait_tokens(memory_.tokens_done, loaded_ - Memory::kTokenSlots);
      load_tokens();
    }
  }

 private:
  __device__ __forceinline__ int64_t unit() const {
    return all_.sizes.unit(next_.tile().batch, next_.head(), next_.tile().chunk);
  }
  __device__ __forceinline__ void load_states() const {
    typename Memory::States& to = memory_.states[loaded_ % Memory::kStateSlots];
    const uint32_t full = shared_address(&memory_.states_full[loaded_ % Memory::kStateSlots]);
    const int64_t at = unit() * kHeadDim * N;
    arrive_with_bytes(full, sizeof(to));
    copy_bulk(shared_address(to.S), all_.space.before + at, sizeof(to.S), full);
    copy_bulk(shared_address(to.G), all_.space.after + at, sizeof(to.G), full);
  }
  __device__ __forceinline__ void load_tokens() const {
    const int head = next_.head(), slot = loaded_ % Memory::kTokenSlots;
    const TileOf& tile = next_.tile();
    typename Memory::Tokens& to = memory_.tokens[slot];
    const uint32_t full = shared_address(&memory_.tokens_full[slot]);
    if (thread_ == 0) {
      arrive_with_bytes(full, sizeof(ChunkSteps));
      copy_bulk(shared_address(&memory_.steps[slot]), all_.space.steps + unit(), sizeof(ChunkSteps),
                full);
    }
    copy_rows(tile, to.dy, all_.dy.at(tile.batch, tile.first, head), all_.dy.token_stride);
    copy_rows(tile, to.x, all_.x.at(tile.batch, tile.first, head), all_.x.token_stride);
    if (all_.D != nullptr && thread_ < kHeadDim)
      copy4_async(shared_address(&memory_.skip[slot][thread_]),
                  all_.D + head * all_.D_head_stride + thread_ * all_.D_channel_stride);
    arrive_with_copies(full);
  }

  /// A tile of 64 rows from `from` on; zeros at padding.
  __device__ __forceinline__ void copy_rows(const TileOf& tile, const __nv_bfloat16* to,
                                            const __nv_bfloat16* from, int64_t stride) const {
    constexpr int kAtOnce = kTeam / 8;
    const int row0 = thread_ / 8, cell = thread_ % 8;
    const uint32_t place = AlignedTile<64>{shared_address(to)}.cell(row0, cell);
    const __nv_bfloat16* row = from + row0 * stride + cell * 8;
#pragma unroll
    for (int pass = 0; pass < kChunk / kAtOnce; ++pass, row += kAtOnce * stride) {
      const bool valid = !(tile.documents.padding >> (row0 + pass * kAtOnce) & 1);
      copy16_async(place + pass * kAtOnce * 128, valid ? row : from, valid);
    }
  }

  const Tiles& all_;
  Memory& memory_;
  const int thread_;
  NextHead next_;
  int loaded_ = 0;  // heads
};

}  // namespace adder::kernels::cuda
