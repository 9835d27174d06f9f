// What a CTA of the forward pass (ssd_forward_mma.cuh) keeps in shared memory, and how it gets
// there: tiles of two chunks, the vectors of their heads.
#pragma once

#include "adder/kernels/cuda/ssd_arguments.cuh"
#include "adder/kernels/cuda/ssd_chunk_vectors.cuh"

namespace adder::kernels::cuda {

/// For kHeads heads of kP channels and kN states; a warp holds 16 kTiles channels of a head.
template <int kP_, int kN_, int kHeads_, int kTiles_>
struct ForwardShape {
  static constexpr int kP = kP_, kN = kN_, kHeads = kHeads_, kTiles = kTiles_;
  static constexpr int kWarpsAHead = kP / (16 * kTiles), kWarps = kHeads * kWarpsAHead;
  static constexpr int kThreads = kWarps * 32;

  struct Stage {
    unsigned char C[Tile<kN>::bytes(kChunk)], B[Tile<kN>::bytes(kChunk)];
    unsigned char x[kHeads][Tile<kP>::bytes(kChunk)];
  };
  /// Where the CTA's tokens begin in memory. What is not needed all the time is kept in shared
  /// memory, as registers are short.
  struct Head {
    const __nv_bfloat16 *x, *z;
    __nv_bfloat16* y;
    HeadSteps steps;
    float skip[kP];
  };
  struct Memory {
    Stage stages[2];
    unsigned char scores[Tile<kChunk>::bytes(kChunk)];
    ChunkVectors vectors[2][kHeads];
    Head heads[kHeads];
    const __nv_bfloat16 *C, *B;
    int64_t batch, first;
    int tokens;  // of the segment
  };
  static constexpr int kCtas = sizeof(Memory) <= 113 * 1024 ? 2 : 1;  // to an SM
};

template <typename Shape>
class ForwardMemory {
 protected:
  static constexpr int kP = Shape::kP, kN = Shape::kN, kHeads = Shape::kHeads;
  using Memory = typename Shape::Memory;

  __device__ __forceinline__ ForwardMemory(const SsdArguments& args, Memory& memory)
      : args_(args), memory_(memory) {}

  /// The warp's head in the CTA, its first channel.
  static __device__ __forceinline__ int own_head() { return threadIdx.x / 32 / Shape::kWarpsAHead; }
  static __device__ __forceinline__ int channel0() {
    return threadIdx.x / 32 % Shape::kWarpsAHead * 16 * Shape::kTiles;
  }
  __device__ __forceinline__ Tile<kN, true> C_tile(int chunk) const {
    return {shared_address(memory_.stages[chunk & 1].C)};
  }
  __device__ __forceinline__ Tile<kN, true> B_tile(int chunk) const {
    return {shared_address(memory_.stages[chunk & 1].B)};
  }
  __device__ __forceinline__ Tile<kP, true> x_tile(int chunk, int head) const {
    return {shared_address(memory_.stages[chunk & 1].x[head])};
  }
  __device__ __forceinline__ Tile<kP, true> x_tile(int chunk) const {
    return x_tile(chunk, own_head());
  }
  __device__ __forceinline__ Tile<kChunk, true> M_tile() const {
    return {shared_address(memory_.scores)};
  }
  /// Of the warp's head.
  __device__ __forceinline__ const ChunkVectors& vectors(int chunk) const {
    return memory_.vectors[chunk & 1][own_head()];
  }

  __device__ __forceinline__ void remember(int64_t batch, int64_t first, int64_t head0,
                                           int tokens) const {
    if (threadIdx.x < kHeads) {
      typename Shape::Head& head = memory_.heads[threadIdx.x];
      const int64_t h = head0 + threadIdx.x;
      head.x = args_.x.row(batch, first, h), head.y = args_.y.row(batch, first, h);
      head.z = args_.z.data == nullptr ? nullptr : args_.z.row(batch, first, h);
      head.steps = head_steps(args_.sizes, batch, first, h);
    }
    if (threadIdx.x == 0) {
      const int64_t group = head0 / args_.heads_a_group;
      memory_.C = args_.C.row(batch, first, group), memory_.B = args_.B.row(batch, first, group);
      memory_.batch = batch, memory_.first = first, memory_.tokens = tokens;
    }
    for (int i = threadIdx.x; i < kHeads * kP; i += Shape::kThreads)
      memory_.heads[i / kP].skip[i % kP] =
          args_.D == nullptr
              ? 0.f
              : args_.D[(head0 + i / kP) * args_.D_head_stride + i % kP * args_.D_channel_stride];
  }

  __device__ __forceinline__ Documents documents_of(int chunk) const {
    if (args_.seq_idx == nullptr) return {0, tail_bits(memory_.tokens - chunk * kChunk)};
    return cuda::documents_of(args_, memory_.batch, memory_.first + chunk * kChunk);
  }

  __device__ __forceinline__ void copy_stage(int chunk) const {
    const int token = chunk * kChunk;
    const uint64_t absent = documents_of(chunk).padding;
    copy_chunk<kN, Shape::kThreads>(C_tile(chunk), memory_.C + token * args_.C.token_stride,
                                    args_.C.token_stride, absent);
    copy_chunk<kN, Shape::kThreads>(B_tile(chunk), memory_.B + token * args_.B.token_stride,
                                    args_.B.token_stride, absent);
#pragma unroll
    for (int h = 0; h < kHeads; ++h)
      copy_chunk<kP, Shape::kThreads>(x_tile(chunk, h),
                                      memory_.heads[h].x + token * args_.x.token_stride,
                                      args_.x.token_stride, absent);
    commit_copies();
  }

  __device__ __forceinline__ RawPair raw_of(int chunk) const {
    const int token = chunk * kChunk;
    return raw_pair(args_.sizes,
                    memory_.heads[own_head()].steps.dt + token * args_.sizes.token_stride,
                    memory_.tokens - token);
  }
  /// All warps of the head do it, so that none waits for another; the first one keeps it.
  __device__ __forceinline__ void find_vectors(int chunk, const RawPair& raw) const {
    const Documents documents = documents_of(chunk);
    const LaneVectors vectors = cuda::find_vectors(
        chunk_tokens(args_.sizes, raw, memory_.heads[own_head()].steps, documents), documents);
    if (channel0() == 0) store_vectors(memory_.vectors[chunk & 1][own_head()], vectors, documents);
  }

  const SsdArguments& args_;
  Memory& memory_;
};

}  // namespace adder::kernels::cuda
