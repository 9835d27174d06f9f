// S before and G after every chunk:
//
//   S <- e^{c_end} S + sum_l Delta_l e^{c_end - c_l} x_l (outer) B_l       forwards in time
//   G <- e^{c_end} G + sum_m e^{c_m} dy_m (outer) C_m                      backwards
//
// Both are one walk, T <- decay T + Y^T K, over positions 0, 1, ... in its own direction. A block
// walks one (row, head, direction) with T (head_dim, states) in the registers of four warps. Where
// that leaves the device idle, the positions are cut into segments: a first launch sums what each
// segment alone leaves at its end, the second starts each segment from the sum of those before it.
#include "adder/kernels/cuda/ssd_backward_mma.cuh"

namespace adder::kernels::cuda {
namespace {

constexpr int kThreads = 128, kStages = 3;

struct Walks {
  Sizes sizes;
  StateSegments segments;
  Workspace space;
  Rows x, dy, B, C;
  const float *initial, *grad_final;  // dense, or nullptr: zero
  float* grad_initial;                // dense, or nullptr
};

template <int P, int N>
struct Stage {
  alignas(256) __nv_bfloat16 y[kChunk * P], k[kChunk * N];
  float weight[kChunk];
  float carried[4];  // the first counts
};

/// The walk of a block.
struct Walk {
  int head, group, batch, segment, begin, end;  // positions [begin, end)
  bool backwards;

  __device__ Walk(const Walks& all)
      : head(blockIdx.x),
        group(head / all.sizes.heads_a_group()),
        batch(blockIdx.y),
        segment(blockIdx.z / 2),
        begin(segment * all.segments.chunks),
        end(min(begin + all.segments.chunks, all.sizes.chunks)),
        backwards(blockIdx.z & 1) {}
  __device__ __forceinline__ int chunk(const Walks& all, int position) const {
    return backwards ? all.sizes.chunks - 1 - position : position;
  }
  __device__ __forceinline__ int64_t number(const Walks& all, int of_segment) const {
    return ((int64_t{backwards} * all.sizes.batch + batch) * all.sizes.heads + head) *
               all.segments.count +
           of_segment;
  }
};

/// T: warp w holds rows (w % 2) P/2 .. and columns (w / 2) N/2 ..
template <int P, int N>
struct State {
  static constexpr int kTilesM = P / 32, kTilesN = N / 16;
  float at[kTilesM][kTilesN][4];

  static __device__ __forceinline__ int row0() { return threadIdx.x / 32 % 2 * (P / 2); }
  static __device__ __forceinline__ int column0() { return threadIdx.x / 64 * (N / 2); }
  static __device__ __forceinline__ int lane() { return threadIdx.x & 31; }

  /// f(element, row, column) for every pair of neighbours.
  template <typename F>
  __device__ __forceinline__ void for_pairs(F f) {
#pragma unroll
    for (int m = 0; m < kTilesM; ++m)
#pragma unroll
      for (int n = 0; n < kTilesN; ++n)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          f(at[m][n][2 * half], at[m][n][2 * half + 1], row0() + 16 * m + 8 * half + lane() / 4,
            column0() + 8 * n + lane() % 4 * 2);
  }
  __device__ __forceinline__ void read(const float* dense) {
    for_pairs([&](float& a, float& b, int row, int column) {
      a = dense == nullptr ? 0.f : dense[row * N + column];
      b = dense == nullptr ? 0.f : dense[row * N + column + 1];
    });
  }
  __device__ __forceinline__ void write(float* dense) {
    for_pairs([&](float& a, float& b, int row, int column) {
      dense[row * N + column] = a;
      dense[row * N + column + 1] = b;
    });
  }
  /// As a StateBlocks.
  __device__ __forceinline__ void write(__nv_bfloat16* tile) const {
    uint32_t* to =
        reinterpret_cast<uint32_t*>(tile) + lane() + StateBlocks<N>::block(row0(), column0()) * 32;
#pragma unroll
    for (int m = 0; m < kTilesM; ++m)
#pragma unroll
      for (int n = 0; n < kTilesN; ++n)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          to[StateBlocks<N>::block(16 * m + 8 * half, 8 * n) * 32] =
              pack_bf16(at[m][n][2 * half], at[m][n][2 * half + 1]);
  }
  __device__ __forceinline__ void scale(float factor) {
    for_pairs([&](float& a, float& b, int, int) { a *= factor, b *= factor; });
  }
};

template <int P, int N>
__device__ __forceinline__ void load_stage(const Walks& all, const Walk& walk, int position,
                                           Stage<P, N>& stage) {
  const int chunk = walk.chunk(all, position), thread = threadIdx.x;
  const int64_t first = int64_t{chunk} * kChunk;
  const uint64_t padding = chunk_padding(all.sizes, all.space, walk.batch, chunk);
  copy_rows<kThreads>(AlignedTile<P>{shared_address(stage.y)}, walk.backwards ? all.dy : all.x,
                      walk.batch, first, walk.head, padding, thread);
  copy_rows<kThreads>(AlignedTile<N>{shared_address(stage.k)}, walk.backwards ? all.C : all.B,
                      walk.batch, first, walk.group, padding, thread);
  const ChunkSteps& steps = all.space.steps[all.sizes.unit(walk.batch, walk.head, chunk)];
  constexpr int kCells = kChunk / 4;
  if (thread < kCells)
    copy16_async(shared_address(stage.weight + thread * 4),
                 steps.weight[walk.backwards] + thread * 4, true);
  if (thread == kCells) copy16_async(shared_address(stage.carried), &steps.carried, true);
}

/// T += factor Y^T K, with Y weighted token by token.
template <int P, int N>
__device__ __forceinline__ void add_chunk(State<P, N>& state, const Stage<P, N>& stage,
                                          float factor) {
  const AlignedTile<P> y{shared_address(stage.y)};
  const AlignedTile<N> k{shared_address(stage.k)};
#pragma unroll
  for (int token = 0; token < kChunk; token += 16) {
    uint32_t a[State<P, N>::kTilesM][4];
    const float* weights = stage.weight + token + State<P, N>::lane() % 4 * 2;
    const float2 near = *reinterpret_cast<const float2*>(weights);
    const float2 far = *reinterpret_cast<const float2*>(weights + 8);
    const float weight[4] = {factor * near.x, factor * near.y, factor * far.x, factor * far.y};
#pragma unroll
    for (int m = 0; m < State<P, N>::kTilesM; ++m) {
      y.load_a_transposed(a[m], token, State<P, N>::row0() + 16 * m);
#pragma unroll
      for (int i = 0; i < 4; ++i)
        a[m][i] = pack_bf16(low_bf16(a[m][i]) * weight[i / 2 * 2],
                            high_bf16(a[m][i]) * weight[i / 2 * 2 + 1]);
    }
#pragma unroll
    for (int n = 0; n < State<P, N>::kTilesN; n += 2) {
      uint32_t b[4];
      k.load_b(b, token, State<P, N>::column0() + 8 * n);
#pragma unroll
      for (int m = 0; m < State<P, N>::kTilesM; ++m) {
        mma(state.at[m][n], a[m], b[0], b[1]);
        mma(state.at[m][n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

/// Calls visit(position, stage) for `count` positions from `first` on, each `step` from the last,
/// until it answers false; loads run ahead.
template <int P, int N, typename Visit>
__device__ __forceinline__ void visit_chunks(const Walks& all, const Walk& walk, int first,
                                             int step, int count, Visit visit) {
  extern __shared__ __align__(256) unsigned char memory[];
  Stage<P, N>* stages = reinterpret_cast<Stage<P, N>*>(memory);
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) {
    if (i < count) load_stage(all, walk, first + i * step, stages[i]);
    commit_copies();
  }
  for (int i = 0; i < count; ++i) {
    wait_copies<kStages - 2>();
    __syncthreads();
    const int ahead = i + kStages - 1;
    if (ahead < count) load_stage(all, walk, first + ahead * step, stages[ahead % kStages]);
    commit_copies();
    if (!visit(first + i * step, stages[i % kStages])) break;
  }
  wait_copies<0>();
}

/// What a segment leaves at its end if it starts from zero, and the decay of what came before it.
/// Walks away from the end: what lies far behind it counts for less and less.
template <int P, int N>
__global__ void __launch_bounds__(kThreads) ends_kernel(Walks all) {
  const Walk walk(all);
  State<P, N> state;
  state.read(nullptr);
  float decay = 0;  // log2, of all chunks so far
  visit_chunks<P, N>(all, walk, walk.end - 1, -1, walk.end - walk.begin,
                     [&](int, const Stage<P, N>& stage) {
                       add_chunk(state, stage, ex2(decay));
                       decay += stage.carried[0];
                       return decay > kForgottenState;
                     });
  state.write(all.space.ends + walk.number(all, walk.segment) * P * N);
  if (threadIdx.x == 0)
    all.space.end_decays[walk.number(all, walk.segment)] =
        decay > kForgottenState ? ex2(decay) : 0.f;
}

/// T before the first position of the walk.
template <int P, int N>
__device__ __forceinline__ void start(const Walks& all, const Walk& walk, State<P, N>& state) {
  const float* first = walk.backwards ? all.grad_final : all.initial;
  const int64_t row_head = static_cast<int64_t>(walk.batch) * all.sizes.heads + walk.head;
  state.read(first == nullptr ? nullptr : first + row_head * P * N);
  for (int segment = 0; segment < walk.segment; ++segment) {
    const int64_t number = walk.number(all, segment);
    const float decay = all.space.end_decays[number];
    const float* ends = all.space.ends + number * P * N;
    state.for_pairs([&](float& a, float& b, int row, int column) {
      a = decay * a + ends[row * N + column];
      b = decay * b + ends[row * N + column + 1];
    });
  }
}

template <int P, int N>
__global__ void __launch_bounds__(kThreads) states_kernel(Walks all) {
  const Walk walk(all);
  State<P, N> state;
  start(all, walk, state);
  __nv_bfloat16* to = walk.backwards ? all.space.after : all.space.before;
  const bool to_the_end = walk.backwards && all.grad_initial != nullptr;
  visit_chunks<P, N>(all, walk, walk.begin, 1, walk.end - walk.begin,
                     [&](int position, const Stage<P, N>& stage) {
                       const int chunk = walk.chunk(all, position);
                       state.write(to + all.sizes.unit(walk.batch, walk.head, chunk) * P * N);
                       if (position == all.sizes.chunks - 1 && !to_the_end) return false;
                       state.scale(ex2(stage.carried[0]));
                       add_chunk(state, stage, 1.f);
                       return true;
                     });
  if (to_the_end && walk.end == all.sizes.chunks)
    state.write(all.grad_initial +
                (static_cast<int64_t>(walk.batch) * all.sizes.heads + walk.head) * P * N);
}

template <int P, int N>
DeviceAnswer launch(const Walks& all, cudaStream_t stream) {
  constexpr int kBytes = kStages * sizeof(Stage<P, N>);
  for (const auto kernel : {ends_kernel<P, N>, states_kernel<P, N>})
    if (const auto error = answer(
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes)))
      return error;
  const dim3 grid(all.sizes.heads, all.sizes.batch, 2 * all.segments.count);
  if (all.segments.count > 1) {
    const dim3 all_but_the_last(grid.x, grid.y, grid.z - 2);
    ends_kernel<P, N><<<all_but_the_last, kThreads, kBytes, stream>>>(all);
    if (const auto error = launched()) return error;
  }
  states_kernel<P, N><<<grid, kThreads, kBytes, stream>>>(all);
  return launched();
}

}  // namespace

StateSegments state_segments(const Sizes& sizes, int multiprocessors) {
  constexpr int kBlocksEach = 3;    // that a multiprocessor holds
  constexpr int kFewestChunks = 8;  // of a segment
  const int walks = 2 * sizes.batch * sizes.heads;
  const int wanted = static_cast<int>(ceil_div(kBlocksEach * multiprocessors * 3 / 4, walks));
  const int count = std::max(1, std::min(wanted, sizes.chunks / kFewestChunks));
  const int chunks = static_cast<int>(ceil_div(sizes.chunks, count));
  return {static_cast<int>(ceil_div(sizes.chunks, chunks)), chunks};
}

DeviceAnswer launch_states(const SsdInputs& in, const SsdGradients& grads, const Sizes& sizes,
                           const StateSegments& segments, const Workspace& space,
                           cudaStream_t stream) {
  const Walks all = {sizes,
                     segments,
                     space,
                     rows_of(in.x),
                     rows_of(grads.grad_y),
                     rows_of(in.B),
                     rows_of(in.C),
                     in.initial_state.as<float>(),
                     grads.grad_final_state.as<float>(),
                     grads.grad_initial_state.as<float>()};
  if (in.x.size[3] == 32)
    return in.B.size[3] == 64 ? launch<32, 64>(all, stream) : launch<32, 128>(all, stream);
  return in.B.size[3] == 64 ? launch<64, 64>(all, stream) : launch<64, 128>(all, stream);
}

}  // namespace adder::kernels::cuda
