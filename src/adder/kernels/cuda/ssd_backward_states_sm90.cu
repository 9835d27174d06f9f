// S before and G after every chunk on Hopper: the walks of ssd_backward_states.cu, two heads of a
// group to a CTA. A warpgroup holds T (64, N) of its head in registers and adds a chunk by wgmma;
// what stood there before goes out, rounded, while the tensor cores work.
#include "adder/kernels/cuda/ssd_backward_walks_sm90.cuh"
#include "adder/kernels/cuda/ssd_kernels.h"

namespace adder::kernels::cuda {
namespace {

constexpr int kHeadWarps = 4 * kHeadsACta, kThreads = 32 * (kHeadWarps + 2);

/// A head of a walk, as its warpgroup sees it. Warp w holds rows 16 w .. of T, and sends them.
template <int N, bool kEnds>
class HeadWalk {
 public:
  using Layout = WalkLayout<N, kEnds>;

  __device__ HeadWalk(const Layout& smem, const WalkArguments& all, const PairWalk<kEnds>& walk,
                      int warp)
      : smem_(smem),
        mine_(warp / 4),
        warp_(warp % 4),
        lane_(threadIdx.x & 31),
        output_(smem.output(mine_) + warp_ * kWarpBytes) {
    const int64_t unit = all.sizes.unit(walk.batch, walk.head + mine_, walk.chunk(all, 0));
    to_ = (walk.backwards ? all.space.after : all.space.before) + unit * kElements + warp_ * 16 * N;
    to_step_ = walk.backwards ? -kElements : kElements;
  }

  __device__ __forceinline__ void run(const WalkArguments& all, const PairWalk<kEnds>& walk) {
    const int64_t row_head = int64_t{walk.batch} * all.sizes.heads + walk.head + mine_;
    if constexpr (kEnds)
      load_state<N>(state_, nullptr, warp_);
    else
      start(all, walk, row_head);
#pragma unroll 1
    for (int step = 0; step < walk.steps; ++step)
      if (add_step(step)) break;
    if constexpr (kEnds) {
      const int64_t number = walk.number(all, mine_, walk.segment);
      store_state<N>(state_, 1.f, all.space.ends + number * kElements, warp_);
      return;
    }
    if (walk.to_the_end(all))
      store_state<N>(state_, 1.f, all.grad_initial + row_head * kElements, warp_);
    else
      round(), send();
    if (lane_ == 0) wait_stores_read();
  }

 private:
  static constexpr int kElements = 64 * N, kWarpBytes = 16 * N * 2;

  /// T before the first step.
  __device__ __forceinline__ void start(const WalkArguments& all, const PairWalk<kEnds>& walk,
                                        int64_t row_head) {
    const float* first = walk.backwards ? all.grad_final : all.initial;
    load_state<N>(state_, first == nullptr ? nullptr : first + row_head * kElements, warp_);
    for (int segment = 0; segment < walk.segment; ++segment) {
      const int64_t number = walk.number(all, mine_, segment);
      const float decay = all.space.end_decays[number];
      const float2* end = state_place<N>(
          reinterpret_cast<const float2*>(all.space.ends + number * kElements), warp_);
#pragma unroll
      for (int i = 0; i < N / 4; ++i) {
        const float2 pair = end[i % 2 * 4 * N + i / 2 * 4];
        state_[2 * i] = fmaf(decay, state_[2 * i], pair.x);
        state_[2 * i + 1] = fmaf(decay, state_[2 * i + 1], pair.y);
      }
    }
  }

  /// Sends T; then T <- decay T + Y^T K. kEnds: whether no other step counts.
  __device__ __forceinline__ bool add_step(int step) {
    if constexpr (!kEnds) round();
    wait_phase(smem_.weighed(step), Layout::slot_parity(step));
    const PairTokens& tokens = smem_.tokens(step);
    const bool enough = kEnds && step + 1 >= smem_.needed();
    if constexpr (!kEnds) {
      const float carried = tokens.carried[mine_];
#pragma unroll
      for (float& t : state_) t *= carried;
    }
    wait_phase(smem_.full(step), Layout::stage_parity(step));
    const Tile<64, true> rows{smem_.rows(step, mine_)};
    const Operand keys = columns_operand(smem_.keys(step));
#pragma unroll
    for (int k = 0; k < kChunk / 16; ++k) {  // more at once would need more registers
      uint32_t y[1][4];
      rows.load_a_transposed(y[0], 16 * k, 16 * warp_);
      weigh_tokens<false>(y[0], tokens.weight[mine_] + 8 * k);
      pin(y);
      pin(state_);
      wgmma_fence();
      wgmma<true>(state_, y[0], keys.at(k * 2048), true);
      wgmma_commit();
      if (k == 0 && !kEnds) send();
      wgmma_wait<0>();
      pin(state_);
    }
    __syncwarp();
    if (lane_ == 0) arrive(smem_.read(step)), arrive(smem_.done(step));
    return enough;
  }

  /// T, rounded, to shared memory as StateBlocks.
  __device__ __forceinline__ void round() const {
    if (lane_ == 0) wait_stores_read();
    __syncwarp();
    constexpr int kAcross = StateBlocks<N>::block(8, 0);
    const int matrix = lane_ / 8;
    const uint32_t place = output_ + (matrix % 2 * kAcross + matrix / 2) * 128 + lane_ % 8 * 16;
#pragma unroll
    for (int j = 0; j < N / 8; j += 2) {
      uint32_t pairs[4];
#pragma unroll
      for (int i = 0; i < 4; ++i)
        pairs[i] = pack_bf16(state_[4 * j + 2 * i], state_[4 * j + 2 * i + 1]);
      store_matrices(place + j * 128, pairs);
    }
  }
  /// What round() left, to its next place.
  __device__ __forceinline__ void send() {
    async_fence();
    __syncwarp();
    if (lane_ == 0) {
      asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to_),
                   "r"(output_), "n"(kWarpBytes)
                   : "memory");
      commit_stores();
    }
    to_ += to_step_;
  }

  const Layout& smem_;
  const int mine_, warp_, lane_;
  const uint32_t output_;
  __nv_bfloat16* to_;  // the next T
  int to_step_;
  Accumulator<N> state_;
};

template <int N, bool kEnds>
__device__ __forceinline__ void walk_cta(const WalkMaps& maps, const WalkArguments& all) {
  extern __shared__ __align__(1024) unsigned char walk_memory[];
  const WalkLayout<N, kEnds> smem{shared_address(walk_memory), walk_memory};
  const PairWalk<kEnds> walk(all);
  if (threadIdx.x == 0) smem.start(walk.heads, walk.steps);
  __syncthreads();
  const int warp = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / 32, 0);
  if (warp == kHeadWarps) {
    WalkServer<N, kEnds>(smem, all, walk).run();
  } else if (warp > kHeadWarps) {
    if (threadIdx.x % 32 == 0) bring_steps(smem, maps, all, walk);
  } else if (warp / 4 < walk.heads) {
    HeadWalk<N, kEnds>(smem, all, walk, warp).run(all, walk);
  }
}

template <int N, bool kEnds>
__global__ void __launch_bounds__(kThreads, 2)
    walk_sm90_kernel(const __grid_constant__ WalkMaps maps,
                     const __grid_constant__ WalkArguments all) {
  if constexpr (kHasWgmma)
    walk_cta<N, kEnds>(maps, all);
  else
    __trap();  // the library was built without 90a
}

template <int N, bool kEnds>
DeviceAnswer launch_walk(const WalkMaps& maps, const WalkArguments& all, int segments,
                         cudaStream_t stream) {
  constexpr int kBytes = WalkLayout<N, kEnds>::kBytes;
  const auto kernel = walk_sm90_kernel<N, kEnds>;
  if (const auto error =
          answer(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes)))
    return error;
  const int pairs =
      all.sizes.groups * static_cast<int>(ceil_div(all.sizes.heads_a_group(), kHeadsACta));
  const dim3 grid(pairs, all.sizes.batch, 2 * segments);
  kernel<<<grid, kThreads, kBytes, stream>>>(maps, all);
  return launched();
}

template <int N>
DeviceAnswer launch(const WalkMaps& maps, const WalkArguments& all, cudaStream_t stream) {
  const int segments = all.segments.count;
  if (segments > 1)
    if (const auto error = launch_walk<N, true>(maps, all, segments - 1, stream)) return error;
  return launch_walk<N, false>(maps, all, segments, stream);
}

}  // namespace

bool takes_states_sm90(const SsdInputs& in, const SsdGradients& grads) {
  const auto on_pairs = [](const View<4>& states) {
    return reinterpret_cast<uintptr_t>(states.data) % 8 == 0;
  };
  const View<4>& dy = grads.grad_y;
  for (int d = 0; d < 3; ++d)  // the copy engine's limits; its rows are aligned
    if (dy.size[d] > 1 && (dy.stride[d] <= 0 || dy.stride[d] >= int64_t{1} << 38)) return false;
  return takes_sm90(in) && on_pairs(grads.grad_final_state) && on_pairs(grads.grad_initial_state);
}

StateSegments state_segments_sm90(const Sizes& sizes, int multiprocessors) {
  constexpr int kFewestChunks = 8;  // of a segment
  const int pairs = sizes.groups * static_cast<int>(ceil_div(sizes.heads_a_group(), kHeadsACta));
  const int wanted = multiprocessors * 3 / 2 / (2 * sizes.batch * pairs);
  const int count = std::max(1, std::min(wanted, sizes.chunks / kFewestChunks));
  const int chunks = static_cast<int>(ceil_div(sizes.chunks, count));
  return {static_cast<int>(ceil_div(sizes.chunks, chunks)), chunks};
}

DeviceAnswer launch_states_sm90(const SsdInputs& in, const SsdGradients& grads, const Sizes& sizes,
                                const StateSegments& segments, const Workspace& space,
                                cudaStream_t stream) {
  const WalkArguments all = {sizes,
                             segments,
                             space,
                             step_sizes(in),
                             in.seq_idx.as<int32_t>(),
                             in.seq_idx.stride[0],
                             in.seq_idx.stride[1],
                             in.initial_state.as<float>(),
                             grads.grad_final_state.as<float>(),
                             grads.grad_initial_state.as<float>()};
  WalkMaps maps{};
  for (const auto& [map, view] :
       {std::pair(&maps.rows[0], &in.x), std::pair(&maps.rows[1], &grads.grad_y),
        std::pair(&maps.keys[0], &in.B), std::pair(&maps.keys[1], &in.C)})
    if (const DeviceAnswer wrong = encode_tiles(*map, *view)) return wrong;
  return in.B.size[3] == 64 ? launch<64>(maps, all, stream) : launch<128>(maps, all, stream);
}

}  // namespace adder::kernels::cuda
