// A CTA of the Hopper forward: what it works on, its shared memory, and its barriers.
#pragma once

#include "adder/kernels/cuda/ssd_arguments.cuh"
#include "adder/kernels/cuda/ssd_chunk_vectors.cuh"
#include "adder/kernels/cuda/ssd_plan_sm90.h"
#include "adder/kernels/cuda/tensor_copy.cuh"
#include "adder/kernels/cuda/wgmma.cuh"

namespace adder::kernels::cuda {

inline constexpr int kHeadsACta = 2;

struct TensorMaps {
  CUtensorMap x, B, C, z, y;
};

struct Sm90Arguments {
  SsdArguments ssd;
  SequenceCut cut;
  const float* entering;  // states that enter segments 1 on: (segment - 1, batch, heads, P, N)
  int64_t a_segment;      // elements of them
};

/// What a CTA works on, for one or two heads of a group: chunks, of which it only adds the first
/// `passed` to the state.
struct CtaWork {
  int64_t batch, segment;
  int group, head, heads, first_chunk, chunks, passed;
};
__device__ __forceinline__ CtaWork cta_work(const SsdArguments& args, int chunks_a_segment) {
  const int a_group = static_cast<int>(args.heads_a_group);
  const int pairs = (a_group + 1) / kHeadsACta;
  const int in_group = static_cast<int>(blockIdx.x) % pairs * kHeadsACta;
  const int all = static_cast<int>(ceil_div(args.length, kChunk));
  CtaWork work;
  work.batch = blockIdx.y, work.segment = blockIdx.z;
  work.group = static_cast<int>(blockIdx.x) / pairs;
  work.head = work.group * a_group + in_group;
  work.heads = min(kHeadsACta, a_group - in_group);
  work.first_chunk = static_cast<int>(blockIdx.z) * chunks_a_segment;
  work.chunks = min(chunks_a_segment, all - work.first_chunk);
  work.passed = 0;
  return work;
}
/// The same for a SequenceCut.
__device__ __forceinline__ CtaWork cta_work(const SsdArguments& args, const SequenceCut& cut) {
  CtaWork work = cta_work(args, static_cast<int>(cut.chunks));
  if (cut.prefix == 0) return work;
  const bool behind = work.segment == 0;  // it is the longer work, and so begins first
  work.segment = 0, work.first_chunk = 0;
  work.chunks = static_cast<int>(behind ? cut.chunks : cut.prefix);
  work.passed = behind ? static_cast<int>(cut.prefix) : 0;
  return work;
}

/// The CTAs of so many segments: pairs of heads, rows of the batch, segments.
inline dim3 cta_grid(const SsdArguments& args, int64_t segments) {
  const int64_t pairs = args.heads / args.heads_a_group * ceil_div(args.heads_a_group, kHeadsACta);
  return dim3(static_cast<unsigned>(pairs), static_cast<unsigned>(args.batch),
              static_cast<unsigned>(segments));
}

/// Shared memory: a ring of stages, a chunk in each (its arrays, M, what the tokens are); for the
/// second head an M of its own, of even chunks and of odd ones; and two tiles of y for each head on
/// its way out.
template <int N, bool kGated>
struct Layout {
  static constexpr int kMatrix = N / 64 * kTileBytes;  // C or B of a chunk
  static constexpr int kHeadTiles = kHeadsACta * kTileBytes;
  static constexpr int kArrays = 2 * kMatrix + kHeadTiles * (kGated ? 2 : 1);
  static constexpr int kTokenBytes = kHeadsACta * static_cast<int>(sizeof(ChunkVectors));
  static constexpr int kStageBarriers = 4 * 8;
  static constexpr int kStageBytes = kArrays + kTileBytes + kTokenBytes + kStageBarriers;
  static constexpr int kMost = 227 * 1024;  // of a CTA
  static constexpr int kOtherBytes = 2 * kTileBytes + 2 * kHeadTiles + 2 * 8;
  static constexpr int kStages = std::min(4, (kMost - kOtherBytes) / kStageBytes);
  /// Warps that write ChunkVectors in turn. As many as stages at most: else one could be two rounds
  /// of the ring ahead, which the parity of a barrier does not show.
  static constexpr int kWeighers = std::min(3, kStages);
  static constexpr int kScores = kStages * kArrays;
  static constexpr int kOwnScores = kScores + kStages * kTileBytes;
  static constexpr int kOutputs = kOwnScores + 2 * kTileBytes;
  static constexpr int kTokens = kOutputs + 2 * kHeadTiles;
  static constexpr int kBarriers = kTokens + kStages * kTokenBytes;
  static constexpr int kBytes = kBarriers + kStages * kStageBarriers + 2 * 8;
  static_assert(kStages >= 2 && kBytes <= kMost && kBarriers % 8 == 0);

  uint32_t base;
  char* generic;

  __device__ uint32_t C(int stage) const { return base + stage * kArrays; }
  __device__ uint32_t B(int stage) const { return C(stage) + kMatrix; }
  __device__ uint32_t x(int stage, int head) const {
    return C(stage) + 2 * kMatrix + head * kTileBytes;
  }
  __device__ uint32_t z(int stage, int head) const { return x(stage, head) + kHeadTiles; }
  __device__ uint32_t outputs(int head) const { return base + kOutputs + 2 * head * kTileBytes; }
  __device__ ChunkVectors& tokens(int stage, int head) const {
    return reinterpret_cast<ChunkVectors*>(generic + kTokens)[stage * kHeadsACta + head];
  }
  /// M of a chunk: the heads share it where neither takes it by pairs.
  __device__ bool scores_shared(int stage) const {
    return !(tokens(stage, 0).by_pairs | tokens(stage, 1).by_pairs);
  }
  __device__ uint32_t scores(int stage) const { return base + kScores + stage * kTileBytes; }
  __device__ uint32_t own_scores(int chunk) const {
    return base + kOwnScores + chunk % 2 * kTileBytes;
  }

  // All threads arrive, each for what it wrote or read itself. (One lane behind a __syncwarp()
  // would do, but is no faster, and racecheck does not see it.)
  //
  // Barriers of a stage: its arrays have arrived; the ChunkVectors are there; both and M are there;
  // the heads have done with all of it.
  __device__ uint32_t full(int stage) const { return base + kBarriers + stage * kStageBarriers; }
  __device__ uint32_t weighed(int stage) const { return full(stage) + 8; }
  __device__ uint32_t ready(int stage) const { return full(stage) + 16; }
  __device__ uint32_t done(int stage) const { return full(stage) + 24; }
  /// Two: the tiles of y of even and of odd chunks may be written again.
  __device__ uint32_t sent() const { return full(kStages); }

  /// One thread, before all others begin.
  __device__ void start_barriers(int heads) const {
    for (int i = 0; i < kStages; ++i) {
      barrier_init(full(i), 1);
      barrier_init(weighed(i), 32 * heads);
      barrier_init(ready(i), 128);
      barrier_init(done(i), 128 * heads);
    }
    for (int i = 0; i < 2; ++i) barrier_init(sent() + 8 * i, 1);
    barrier_init_done();
  }
};

/// Zeros into the rows of padding of a tile that the copy engine brought: what stands there may be
/// NaN, and 0 times it too. By kThreads threads in a row; async_fence() and a barrier must follow.
template <int kThreads>
__device__ __forceinline__ void clear_padding(uint32_t tile, uint64_t padding) {
  for (int cell = threadIdx.x % kThreads; cell < 64 * 8; cell += kThreads)
    if (padding >> (cell / 8) & 1)
      asm volatile("st.shared.v4.b32 [%0], {%1, %1, %1, %1};" ::"r"(tile + cell * 16), "r"(0)
                   : "memory");
}

/// A place in the ring of stages, and the parity of its round. (Before the first round, the one
/// before it counts as ended.)
template <int kStages>
struct Turn {
  int stage = 0;
  uint32_t parity = 0;
  __device__ __forceinline__ void next() {
    if (++stage == kStages) stage = 0, parity ^= 1;
  }
};

}  // namespace adder::kernels::cuda
