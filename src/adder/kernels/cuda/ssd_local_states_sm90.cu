// The states that segments of a sequence leave behind when none enters them, on Hopper: the sum of
// x_s^T (Delta_s 2^(decay behind s)) B_s. A CTA takes two heads of a group through a segment, from
// its end backwards, and no further than where both have forgotten everything before, or their
// document begins. How far that is follows from dt alone, and is found first.
#include "adder/kernels/cuda/ssd_chunk_sm90.cuh"
#include "adder/kernels/cuda/ssd_kernels.h"
#include "adder/kernels/cuda/ssd_segments.h"

namespace adder::kernels::cuda {

namespace {

/// Decays behind a chunk below this (log2) count as zero: what is dropped is less than 1e-18 of
/// the inputs.
constexpr float kForgotten = -60.f;
constexpr int kMostChunks = 1024;  // of a segment
constexpr int kWeighersAHead = 3;  // warps for the tokens of a head
constexpr int kThreadsLocal = 128 * kHeadsACta + 32 * (1 + kWeighersAHead * kHeadsACta + 1);

/// Shared memory: a ring of chunks, and the decays of all chunks of the segment.
template <int N>
struct LocalLayout {
  static constexpr int kMatrix = N / 64 * kTileBytes;
  static constexpr int kArrays = kMatrix + kHeadsACta * kTileBytes;
  static constexpr int kStages = 5;
  static_assert(kWeighersAHead <= kStages);  // as in Layout
  static constexpr int kWeights = kStages * kArrays;
  static constexpr int kWeightBytes = kHeadsACta * kChunk * 4;
  static constexpr int kDecays = kWeights + kStages * kWeightBytes;
  static constexpr int kDecayBytes = kHeadsACta * kMostChunks * 4;
  static constexpr int kBarriers = kDecays + kDecayBytes;
  static constexpr int kBytes = kBarriers + kStages * 3 * 8;

  uint32_t base;
  char* generic;

  __device__ uint32_t B(int stage) const { return base + stage * kArrays; }
  __device__ uint32_t x(int stage, int head) const {
    return B(stage) + kMatrix + head * kTileBytes;
  }
  __device__ WeightPair* weights(int stage, int head) const {
    return reinterpret_cast<WeightPair*>(generic + kWeights) +
           (stage * kHeadsACta + head) * (kChunk / 2);
  }
  /// log2 of the decay of a chunk; then of all behind it.
  __device__ float* decays(int head) const {
    return reinterpret_cast<float*>(generic + kDecays) + head * kMostChunks;
  }
  __device__ uint32_t full(int stage) const { return base + kBarriers + stage * 24; }
  __device__ uint32_t weighed(int stage) const { return full(stage) + 8; }
  __device__ uint32_t done(int stage) const { return full(stage) + 16; }
};

struct LocalArguments {
  SsdArguments ssd;
  LocalStates out;
  int chunks;  // of a segment
};
struct LocalMaps {
  CUtensorMap x, B;
};

/// Step i of a walk is at chunk work.chunks - 1 - i of the segment.
[[maybe_unused]] __device__ __forceinline__ int64_t first_token(const CtaWork& work, int step) {
  return int64_t{work.first_chunk + work.chunks - 1 - step} * kChunk;
}

/// All warps: the decay of each chunk, of some at a time so that their dt arrive together.
template <int N>
__device__ __forceinline__ void find_decays(const LocalLayout<N>& smem, const SsdArguments& args,
                                            const CtaWork& work) {
  constexpr int kAtOnce = 6, kWarps = kThreadsLocal / 32;
  const int all = work.chunks * work.heads;
  for (int first = threadIdx.x / 32; first < all; first += kWarps * kAtOnce) {
    RawPair raw[kAtOnce];
    const auto item = [&](int i) { return min(first + i * kWarps, all - 1); };
    const auto steps = [&](int i) {
      return head_steps(args.sizes, work.batch, first_token(work, item(i) / work.heads),
                        work.head + item(i) % work.heads);
    };
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i)
      raw[i] =
          raw_pair(args.sizes, steps(i).dt, args.length - first_token(work, item(i) / work.heads));
#pragma unroll
    for (int i = 0; i < kAtOnce; ++i) {
      const int step = item(i) / work.heads;
      const Documents documents = documents_of(args, work.batch, first_token(work, step));
      const TokenPair tokens = chunk_tokens(args.sizes, raw[i], steps(i), documents);
      if (threadIdx.x % 32 == 31) smem.decays(item(i) % work.heads)[step] = tokens.c[1];
    }
  }
}
/// Of a head: how many steps count, and the decay of the state that enters the segment (log2).
struct WalkLength {
  int steps;
  float decay;
};
/// A warp: the decays become those behind each step.
[[maybe_unused]] __device__ __forceinline__ WalkLength sum_decays(float* decays, int steps) {
  const int lane = threadIdx.x & 31;
  WalkLength length{0, 0.f};
  for (int first = 0; first < steps; first += 32) {
    const bool there = first + lane < steps;
    const float own = there ? decays[first + lane] : 0.f;
    float sum = own;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      const float before = __shfl_up_sync(kAllLanes, sum, step);
      if (lane >= step) sum += before;
    }
    float before = __shfl_up_sync(kAllLanes, sum, 1);
    before = length.decay + (lane == 0 ? 0.f : before);
    if (there) decays[first + lane] = before;
    length.steps += __popc(__ballot_sync(kAllLanes, there && before >= kForgotten));
    length.decay += __shfl_sync(kAllLanes, sum, 31);
  }
  return length;
}

/// One thread: B and x of all steps, each when its stage is free.
template <int N>
__device__ __forceinline__ void bring_steps(const LocalLayout<N>& smem, const LocalMaps& maps,
                                            const CtaWork& work, int steps) {
  using Layout = LocalLayout<N>;
  Turn<Layout::kStages> turn;
#pragma unroll 1
  for (int step = 0; step < steps; ++step, turn.next()) {
    wait_phase(smem.done(turn.stage), turn.parity ^ 1);
    const uint32_t full = smem.full(turn.stage);
    arrive_with_bytes(full, Layout::kMatrix + work.heads * kTileBytes);
    TilePlace at{0, work.group, static_cast<int>(first_token(work, step)),
                 static_cast<int>(work.batch)};
#pragma unroll
    for (int n = 0; n < N / 64; ++n) {
      at.column = 64 * n;
      load_tile(smem.B(turn.stage) + n * kTileBytes, maps.B, at, full);
    }
    at.column = 0;
    for (int i = 0; i < work.heads; ++i) {
      at.head = work.head + i;
      load_tile(smem.x(turn.stage, i), maps.x, at, full);
    }
  }
}

/// A warp: the weights of every kWeighersAHead-th step, for head number `mine` of the CTA.
template <int N>
__device__ __forceinline__ void weigh_steps(const LocalLayout<N>& smem, const SsdArguments& args,
                                            const CtaWork& work, int mine, int step, int steps) {
  constexpr int kStages = LocalLayout<N>::kStages;
  const int lane = threadIdx.x & 31;
  const HeadSteps head = head_steps(args.sizes, work.batch, 0, work.head + mine);
  const auto read = [&](int step) {
    const int64_t first = first_token(work, step);
    return raw_pair(args.sizes, head.dt + first * args.sizes.token_stride, args.length - first);
  };
  RawPair ahead = step < steps ? read(step) : RawPair{};
#pragma unroll 1
  for (; step < steps; step += kWeighersAHead) {
    const RawPair raw = ahead;
    if (step + kWeighersAHead < steps) ahead = read(step + kWeighersAHead);
    const Documents documents = documents_of(args, work.batch, first_token(work, step));
    const TokenPair tokens = chunk_tokens(args.sizes, raw, head, documents);
    const int stage = step % kStages;
    const float behind = smem.decays(mine)[step] + __shfl_sync(kAllLanes, tokens.c[1], 31);
    float weight[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) weight[i] = tokens.delta[i] * ex2(behind - tokens.c[i]);
    const uint32_t round = step / kStages % 2;
    wait_phase(smem.done(stage), round ^ 1);
    smem.weights(stage, mine)[lane] = weight_pair(weight[0], weight[1]);
    if (documents.padding != 0) {
      wait_phase(smem.full(stage), round);
      clear_padding<32>(smem.x(stage, mine), documents.padding);
      for (int n = 0; mine == 0 && n < N / 64; ++n)
        clear_padding<32>(smem.B(stage) + n * kTileBytes, documents.padding);
      async_fence();
    }
    arrive(smem.weighed(stage));
  }
}

/// The warpgroup of a head: `own` of the `steps` steps count for it.
template <int N>
__device__ __forceinline__ void add_steps(Accumulator<N>& s, const LocalLayout<N>& smem, int mine,
                                          int own, int steps) {
  const int warp = threadIdx.x / 32 % 4;
  Turn<LocalLayout<N>::kStages> turn;
#pragma unroll 1
  for (int step = 0; step < steps; ++step, turn.next()) {
    wait_phase(smem.full(turn.stage), turn.parity);
    wait_phase(smem.weighed(turn.stage), turn.parity);
    if (step < own) {
      uint32_t x[4][4];
#pragma unroll
      for (int k = 0; k < 4; ++k) {
        load_channels(x[k], Tile<64>{smem.x(turn.stage, mine)}, warp, 16 * k);
        weigh_tokens<false>(x[k], smem.weights(turn.stage, mine) + 8 * k);
      }
      pin(x);
      pin(s);
      wgmma_fence();
      add_inputs<N>(s, x, columns_operand(smem.B(turn.stage)));
      wgmma_commit();
      wgmma_wait<0>();
      pin(s);
    }
    arrive(smem.done(turn.stage));
  }
}

template <int N>
__device__ __forceinline__ void local_states_cta(const LocalMaps& maps,
                                                 const LocalArguments& args) {
  extern __shared__ __align__(1024) char shared_local_sm90[];
  const LocalLayout<N> smem{shared_address(shared_local_sm90), shared_local_sm90};
  const CtaWork work = cta_work(args.ssd, args.chunks);
  __shared__ WalkLength lengths[kHeadsACta];
  const int warp = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / 32, 0);
  if (threadIdx.x == 0) {
    for (int i = 0; i < LocalLayout<N>::kStages; ++i) {
      barrier_init(smem.full(i), 1);
      barrier_init(smem.weighed(i), 32 * work.heads);
      barrier_init(smem.done(i), 128 * work.heads);
    }
    barrier_init_done();
  }
  find_decays(smem, args.ssd, work);
  __syncthreads();
  if (warp < kHeadsACta)
    lengths[warp] =
        warp < work.heads ? sum_decays(smem.decays(warp), work.chunks) : WalkLength{0, 0.f};
  __syncthreads();
  const int steps = max(lengths[0].steps, lengths[1].steps);
  const int server = warp - 4 * kHeadsACta, mine = server < 0 ? warp / 4 : (server + 1) % 2;
  if (mine >= work.heads && server != 0) return;
  if (server == 0) {
    if (threadIdx.x % 32 == 0) bring_steps(smem, maps, work, steps);
  } else if (server > 0) {
    if (server <= kWeighersAHead * kHeadsACta)
      weigh_steps(smem, args.ssd, work, mine, (server - 1) / 2, steps);
  } else {
    Accumulator<N> s{};
    add_steps<N>(s, smem, mine, lengths[mine].steps, steps);
    const int64_t place =
        (work.segment * args.ssd.batch + work.batch) * args.ssd.heads + work.head + mine;
    store_state<N>(s, 1.f, args.out.states + place * 64 * N, warp % 4);
    const float decay = lengths[mine].decay;
    if (threadIdx.x % 128 == 0) args.out.decays[place] = decay >= kForgotten ? ex2(decay) : 0.f;
  }
}

template <int N>
__global__ void __launch_bounds__(kThreadsLocal, 1)
    local_states_sm90_kernel(const __grid_constant__ LocalMaps maps,
                             const __grid_constant__ LocalArguments args) {
  if constexpr (kHasWgmma)
    local_states_cta<N>(maps, args);
  else
    __trap();  // the library was built without 90a
}

template <int N>
DeviceAnswer launch(const LocalMaps& maps, const LocalArguments& args, int64_t segments,
                    const DeviceWork& work) {
  constexpr int kBytes = LocalLayout<N>::kBytes;
  const auto kernel = local_states_sm90_kernel<N>;
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (error != cudaSuccess) return answer(error);
  kernel<<<cta_grid(args.ssd, segments), kThreadsLocal, kBytes, stream_of(work)>>>(maps, args);
  return launched();
}

}  // namespace

bool takes_local_states_sm90(const SsdInputs& in, const SegmentPlan& plan) {
  return takes_sm90(in) && plan.chunks <= kMostChunks;
}

DeviceAnswer local_states_sm90(const SsdInputs& in, const SegmentPlan& plan, const LocalStates& out,
                               const DeviceWork& work) {
  const LocalArguments args{ssd_arguments(in, {}), out, static_cast<int>(plan.chunks)};
  LocalMaps maps{};
  if (const DeviceAnswer wrong = encode_tiles(maps.x, in.x)) return wrong;
  if (const DeviceAnswer wrong = encode_tiles(maps.B, in.B)) return wrong;
  return in.B.size[3] == 64 ? launch<64>(maps, args, plan.segments - 1, work)
                            : launch<128>(maps, args, plan.segments - 1, work);
}

}  // namespace adder::kernels::cuda
