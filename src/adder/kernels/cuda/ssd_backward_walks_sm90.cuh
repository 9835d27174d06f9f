// The walks of ssd_backward_states.cu on Hopper: what a CTA walks, its shared memory, and the two
// warps that serve the heads. One asks the copy engine for the rows of each chunk; the other finds
// what the tokens weigh, and leaves that for the tile kernel too.
#pragma once

#include "adder/kernels/cuda/ssd_backward_steps.cuh"
#include "adder/kernels/cuda/ssd_chunk_sm90.cuh"
#include "adder/kernels/cuda/ssd_chunk_vectors.cuh"

namespace adder::kernels::cuda {

struct WalkArguments {
  Sizes sizes;
  StateSegments segments;
  Workspace space;
  StepSizes steps;
  const int32_t* seq_idx;  // or nullptr
  int64_t seq_idx_batch_stride, seq_idx_stride;
  const float *initial, *grad_final;  // dense, or nullptr: zero
  float* grad_initial;                // dense, or nullptr
};

/// Forwards x and B, backwards dy and C.
struct WalkMaps {
  CUtensorMap rows[2], keys[2];
};

/// The walk of a CTA, of one or two heads of a group: positions [begin, end) in its own direction.
/// kEnds: backwards through them, for what they leave at the end.
template <bool kEnds>
struct PairWalk {
  int batch, group, head, heads, segment, begin, end;
  int steps;  // chunks that T takes in
  bool backwards;

  __device__ explicit PairWalk(const WalkArguments& all)
      : batch(blockIdx.y), segment(blockIdx.z / 2), backwards(blockIdx.z & 1) {
    const int a_group = all.sizes.heads_a_group(), pairs = (a_group + kHeadsACta - 1) / kHeadsACta;
    const int in_group = static_cast<int>(blockIdx.x) % pairs * kHeadsACta;
    group = static_cast<int>(blockIdx.x) / pairs;
    head = group * a_group + in_group;
    heads = min(kHeadsACta, a_group - in_group);
    begin = segment * all.segments.chunks;
    end = min(begin + all.segments.chunks, all.sizes.chunks);
    steps = end - begin - (kEnds || to_the_end(all) ? 0 : 1);
  }
  /// Whether T behind the last position is asked for.
  __device__ __forceinline__ bool to_the_end(const WalkArguments& all) const {
    return backwards && end == all.sizes.chunks && all.grad_initial != nullptr;
  }
  __device__ __forceinline__ int chunk(const WalkArguments& all, int step) const {
    const int position = kEnds ? end - 1 - step : begin + step;
    return backwards ? all.sizes.chunks - 1 - position : position;
  }
  /// Of a segment's end.
  __device__ __forceinline__ int64_t number(const WalkArguments& all, int mine,
                                            int of_segment) const {
    return ((int64_t{backwards} * all.sizes.batch + batch) * all.sizes.heads + head + mine) *
               all.segments.count +
           of_segment;
  }
};

/// What the tokens of a chunk are to the heads of a CTA.
struct alignas(16) PairTokens {
  WeightPair weight[kHeadsACta][kChunk / 2];
  float carried[kHeadsACta];  // the decay of T
};

/// Shared memory: a ring of chunks, one of PairTokens, and a rounded T for each head on its way
/// out. Two CTAs share a multiprocessor.
template <int N, bool kEnds>
struct WalkLayout {
  static constexpr int kMatrix = N / 64 * kTileBytes, kState = 64 * N * 2;
  static constexpr int kArrays = kMatrix + kHeadsACta * kTileBytes;
  static constexpr int kOutputBytes = kEnds ? 0 : kHeadsACta * kState;
  static constexpr int kMost = 113 * 1024, kSlots = 4;
  static constexpr int kSmall = 1024 + kSlots * static_cast<int>(sizeof(PairTokens));
  static constexpr int kStages = std::min(4, (kMost - kOutputBytes - kSmall) / kArrays);
  static constexpr int kOutputs = kStages * kArrays, kTokens = kOutputs + kOutputBytes;
  static constexpr int kBarriers = kTokens + kSlots * static_cast<int>(sizeof(PairTokens));
  static constexpr int kNeeded = kBarriers + 2 * 8 * (kStages + kSlots);
  static constexpr int kBytes = kNeeded + 16;
  static_assert(kStages >= 2 && kBytes <= kMost);

  uint32_t base;
  unsigned char* generic;

  __device__ uint32_t keys(int step) const { return base + step % kStages * kArrays; }
  __device__ uint32_t rows(int step, int mine) const {
    return keys(step) + kMatrix + mine * kTileBytes;
  }
  __device__ uint32_t output(int mine) const { return base + kOutputs + mine * kState; }
  __device__ PairTokens& tokens(int step) const {
    return reinterpret_cast<PairTokens*>(generic + kTokens)[step % kSlots];
  }
  /// How many steps count; it may become less, before the last of them is weighed.
  __device__ volatile int& needed() const {
    return *reinterpret_cast<volatile int*>(generic + kNeeded);
  }

  // Barriers, each in turn for one step after the other: its arrays have arrived, the heads are
  // done with them; its PairTokens are there, the heads (and kEnds: who brings) have read them.
  __device__ uint32_t full(int step) const { return base + kBarriers + step % kStages * 16; }
  __device__ uint32_t done(int step) const { return full(step) + 8; }
  __device__ uint32_t weighed(int step) const {
    return base + kBarriers + (kStages + step % kSlots) * 16;
  }
  __device__ uint32_t read(int step) const { return weighed(step) + 8; }
  static __device__ uint32_t stage_parity(int step) { return step / kStages % 2; }
  static __device__ uint32_t slot_parity(int step) { return step / kSlots % 2; }

  /// One thread, before all others begin.
  __device__ void start(int heads, int steps) const {
    for (int i = 0; i < kStages; ++i) barrier_init(full(i), 1), barrier_init(done(i), 4 * heads);
    for (int i = 0; i < kSlots; ++i)
      barrier_init(weighed(i), 1), barrier_init(read(i), 4 * heads + int{kEnds});
    barrier_init_done();
    needed() = steps;
  }
};

/// One thread: the rows of the heads, and the keys, of each step when there is room.
template <int N, bool kEnds>
__device__ __forceinline__ void bring_steps(const WalkLayout<N, kEnds>& smem, const WalkMaps& maps,
                                            const WalkArguments& all, const PairWalk<kEnds>& walk) {
  using Layout = WalkLayout<N, kEnds>;
#pragma unroll 1
  for (int step = 0; step < walk.steps; ++step) {
    if (kEnds && step > 0) {
      wait_phase(smem.weighed(step - 1), Layout::slot_parity(step - 1));
      if (step >= smem.needed()) return;
      arrive(smem.read(step - 1));
    }
    wait_phase(smem.done(step), Layout::stage_parity(step) ^ 1);
    const uint32_t full = smem.full(step);
    arrive_with_bytes(full, Layout::kMatrix + walk.heads * kTileBytes);
    TilePlace at{0, walk.head, walk.chunk(all, step) * kChunk, walk.batch};
#pragma unroll 1
    for (int i = 0; i < walk.heads; ++i, ++at.head)
      load_tile(smem.rows(step, i), maps.rows[walk.backwards], at, full);
    at.head = walk.group;
#pragma unroll
    for (int n = 0; n < N / 64; ++n) {
      at.column = 64 * n;
      load_tile(smem.keys(step) + n * kTileBytes, maps.keys[walk.backwards], at, full);
    }
  }
}

/// The warp that finds what the tokens weigh.
template <int N, bool kEnds>
class WalkServer {
 public:
  using Layout = WalkLayout<N, kEnds>;

  __device__ WalkServer(const Layout& smem, const WalkArguments& all, const PairWalk<kEnds>& walk)
      : smem_(smem), all_(all), walk_(walk), lane_(threadIdx.x & 31) {
#pragma unroll
    for (int i = 0; i < kHeadsACta; ++i)
      heads_[i] = head_steps(all.steps, walk.batch, 0, walk.head + min(i, walk.heads - 1));
  }

  __device__ __forceinline__ void run() {
    const int visits = leaves_steps() ? walk_.end - walk_.begin : walk_.steps;
    HeadPairs ahead[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; ++i) read(i, visits, ahead[i]);
    bool more = visits > 0;
#pragma unroll 1
    for (int first = 0; more; first += kAhead) {
#pragma unroll
      for (int i = 0; i < kAhead; ++i) {
        const int step = first + i;
        if (more) {
          visit(step, ahead[i]);
          read(step + kAhead, visits, ahead[i]);
        }
        more = more && step + 1 < (kEnds ? smem_.needed() : visits);
      }
    }
    if (kEnds && lane_ < walk_.heads) {
      const float decay = lane_ == 0 ? behind_[0] : behind_[1];
      all_.space.end_decays[walk_.number(all_, lane_, walk_.segment)] =
          decay > kForgottenState ? ex2(decay) : 0.f;
    }
  }

 private:
  static constexpr int kAhead = 2;  // steps whose dt is on its way
  using HeadPairs = RawPair[kHeadsACta];

  /// The forward walk leaves the steps of all chunks.
  __device__ __forceinline__ bool leaves_steps() const {
    return !kEnds && !walk_.backwards;
  }

  __device__ __forceinline__ void visit(int step, const HeadPairs& dt) {
    const int chunk = walk_.chunk(all_, step);
    const Documents documents = documents_of(chunk);
    StepPair pairs[kHeadsACta];
    step_pairs(all_.steps, dt, heads_, pair_documents(documents), pairs);
    if (step < walk_.steps) give(pairs, documents, step);
    if (leaves_steps()) leave(pairs, documents, chunk);
  }

  /// dt of this lane's two tokens, before it is needed.
  __device__ __forceinline__ void read(int step, int visits, HeadPairs& pairs) const {
    if (step >= visits) return;
    const StepSizes& steps = all_.steps;
    const int token = walk_.chunk(all_, step) * kChunk + 2 * lane_;
    const auto load = [&](const auto* dt) {
#pragma unroll
      for (int i = 0; i < 2 * kHeadsACta; ++i) {
        const int64_t place = heads_[i / 2].dt + (token + i % 2) * steps.token_stride;
        pairs[i / 2].bits[i % 2] = token + i % 2 < all_.sizes.length ? dt[place] : 0;
      }
    };
    if (steps.dt_is_bf16)
      load(static_cast<const uint16_t*>(steps.dt));
    else
      load(static_cast<const uint32_t*>(steps.dt));
  }
  __device__ __forceinline__ Documents documents_of(int chunk) const {
    const int64_t first = int64_t{chunk} * kChunk;
    if (all_.seq_idx == nullptr) return {0, tail_bits(all_.sizes.length - chunk * kChunk)};
    return chunk_documents(all_.seq_idx + walk_.batch * all_.seq_idx_batch_stride,
                           all_.seq_idx_stride, first, all_.sizes.length);
  }

  /// A chunk to the heads.
  __device__ __forceinline__ void give(const StepPair (&pairs)[kHeadsACta],
                                       const Documents& documents, int step) {
    float2 weight[kHeadsACta];
#pragma unroll
    for (int h = 0; h < kHeadsACta; ++h) {
      const float factor = kEnds ? ex2(behind_[h]) : 1.f;
      weight[h] = {factor * pairs[h].weight(walk_.backwards, 0),
                   factor * pairs[h].weight(walk_.backwards, 1)};
      behind_[h] += pairs[h].carried;
    }
    wait_phase(smem_.read(step), Layout::slot_parity(step) ^ 1);
    PairTokens& tokens = smem_.tokens(step);
#pragma unroll
    for (int h = 0; h < kHeadsACta; ++h) {
      tokens.weight[h][lane_] = weight_pair(weight[h].x, weight[h].y);
      if (lane_ == 0) tokens.carried[h] = ex2(pairs[h].carried);
    }
    if (kEnds && !(fmaxf(behind_[0], behind_[1]) > kForgottenState)) smem_.needed() = step + 1;
    if (all_.seq_idx != nullptr && documents.padding != 0) clear(documents.padding, step);
    __syncwarp();
    if (lane_ == 0) arrive(smem_.weighed(step));
  }
  __device__ __forceinline__ void clear(uint64_t padding, int step) const {
    wait_phase(smem_.full(step), Layout::stage_parity(step));
    for (int i = 0; i < walk_.heads; ++i) clear_padding<32>(smem_.rows(step, i), padding);
    for (int n = 0; n < N / 64; ++n) clear_padding<32>(smem_.keys(step) + n * kTileBytes, padding);
    async_fence();
  }

  /// For the tile kernel.
  __device__ __forceinline__ void leave(const StepPair (&pairs)[kHeadsACta],
                                        const Documents& documents, int chunk) const {
#pragma unroll
    for (int h = 0; h < kHeadsACta; ++h)
      if (h < walk_.heads)
        write_steps(all_.steps, pairs[h], heads_[h].A,
                    all_.space.steps[all_.sizes.unit(walk_.batch, walk_.head + h, chunk)]);
    if (walk_.head == 0 && lane_ == 0)
      all_.space.documents[int64_t{walk_.batch} * all_.sizes.chunks + chunk] = documents;
  }

  const Layout& smem_;
  const WalkArguments& all_;
  const PairWalk<kEnds>& walk_;
  const int lane_;
  HeadSteps heads_[kHeadsACta];
  float behind_[kHeadsACta] = {};  // log2 of the decay of all chunks so far
};

}  // namespace adder::kernels::cuda
