// A CTA of the Hopper forward: what it works on, its shared memory, and its barriers.
#pragma once

#include "adder/kernels/cuda/ssd_arguments.cuh"
#include "adder/kernels/cuda/tensor_copy.cuh"
#include "adder/kernels/cuda/wgmma.cuh"

namespace adder::kernels::cuda {

inline constexpr int kHeadsACta = 2;

/// How the decays of a chunk are taken (ssd_chunk_sm90.cuh).
enum class ChunkKind : int { kWhole, kHalves, kDirect };

/// What the tokens of a chunk are to a head. In the factored kinds c and m are those of the token's
/// part, the chunk or a half of it.
struct alignas(16) HeadTokens {
  float weight[kChunk];      // Delta_s 2^(m - c_s), in_two_parts();  kDirect: Delta_s
  float decay[kChunk];       // 2^(c_l - m);                          kDirect: c_l
  float enter[2], leave[2];  // of a part: 2^m, 2^(c_last - m);   kDirect: 1
  Documents documents;
  ChunkKind kind;
};

struct TensorMaps {
  CUtensorMap x, B, C, z, y;
};

struct Sm90Arguments {
  SsdArguments ssd;
  const float* entering;  // states that enter segments 1 on: (segment - 1, batch, heads, P, N)
  int64_t a_segment;      // elements of them
  int chunks_a_segment, segments;
};

/// What a CTA works on: chunks of a segment, for one or two heads of a group.
struct CtaWork {
  int64_t batch, segment;
  int group, head, heads, first_chunk, chunks;
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
  return work;
}

/// The CTAs of so many segments: pairs of heads, rows of the batch, segments.
inline dim3 cta_grid(const SsdArguments& args, int64_t segments) {
  const int64_t pairs = args.heads / args.heads_a_group * ceil_div(args.heads_a_group, kHeadsACta);
  return dim3(static_cast<unsigned>(pairs), static_cast<unsigned>(args.batch),
              static_cast<unsigned>(segments));
}

/// Shared memory: a ring of stages, a chunk in each (its arrays, M, what the tokens are), and two
/// tiles of y for each head on its way out.
template <int N, bool kGated>
struct Layout {
  static constexpr int kMatrix = N / 64 * kTileBytes;  // C or B of a chunk
  static constexpr int kHeadTiles = kHeadsACta * kTileBytes;
  static constexpr int kArrays = 2 * kMatrix + kHeadTiles * (kGated ? 2 : 1);
  static constexpr int kTokenBytes = kHeadsACta * static_cast<int>(sizeof(HeadTokens));
  static constexpr int kStageBarriers = 3 * 8;
  static constexpr int kStageBytes = kArrays + kTileBytes + kTokenBytes + kStageBarriers;
  static constexpr int kMost = 227 * 1024;  // of a CTA
  static constexpr int kOutputBytes = 2 * kHeadTiles + 2 * 8;
  static constexpr int kStages = std::min(4, (kMost - kOutputBytes) / kStageBytes);
  /// Warps that write HeadTokens in turn. As many as stages at most: else one could be two rounds
  /// of the ring ahead, which the parity of a barrier does not show.
  static constexpr int kWeighers = std::min(3, kStages);
  static constexpr int kScores = kStages * kArrays, kOutputs = kScores + kStages * kTileBytes;
  static constexpr int kTokens = kOutputs + 2 * kHeadTiles;
  static constexpr int kBarriers = kTokens + kStages * kTokenBytes;
  static constexpr int kBytes = kBarriers + kStages * kStageBarriers + 2 * 8;
  static_assert(kStages >= 2 && kBytes <= kMost);

  uint32_t base;
  char* generic;

  __device__ uint32_t C(int stage) const { return base + stage * kArrays; }
  __device__ uint32_t B(int stage) const { return C(stage) + kMatrix; }
  __device__ uint32_t x(int stage, int head) const {
    return C(stage) + 2 * kMatrix + head * kTileBytes;
  }
  __device__ uint32_t z(int stage, int head) const { return x(stage, head) + kHeadTiles; }
  __device__ uint32_t scores(int stage) const { return base + kScores + stage * kTileBytes; }
  __device__ uint32_t outputs(int head) const { return base + kOutputs + 2 * head * kTileBytes; }
  __device__ HeadTokens& tokens(int stage, int head) const {
    return reinterpret_cast<HeadTokens*>(generic + kTokens)[stage * kHeadsACta + head];
  }

  // Barriers of a stage: its arrays have arrived; they, M and the HeadTokens are there; the heads
  // have done with all of it.
  __device__ uint32_t full(int stage) const { return base + kBarriers + stage * kStageBarriers; }
  __device__ uint32_t ready(int stage) const { return full(stage) + 8; }
  __device__ uint32_t done(int stage) const { return full(stage) + 16; }
  /// Two: the tiles of y of even and of odd chunks may be written again.
  __device__ uint32_t sent() const { return full(kStages); }

  /// One thread, before all others begin.
  __device__ void start_barriers(int heads) const {
    for (int i = 0; i < kStages; ++i) {
      barrier_init(full(i), 1);
      barrier_init(ready(i), 4 + heads);  // arrivals are of warps
      barrier_init(done(i), 4 * heads);
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
