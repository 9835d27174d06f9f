#include "adder/kernels/cuda/ssd_segments.h"

#include "adder/kernels/cuda/ssd_arguments.cuh"
#include "adder/kernels/cuda/ssd_chunk_vectors.cuh"

namespace adder::kernels::cuda {
namespace {

/// Suffix decays below this (log2) count as zero: what is dropped is less than 1e-18 of the inputs.
constexpr float kForgotten = -60.f;

template <int kP, int kN, int kHeads>
struct LocalShape {
  static constexpr int kTiles = 2;  // 32 channels to a warp
  static constexpr int kWarpsAHead = kP / (16 * kTiles);
  static constexpr int kThreads = kHeads * kWarpsAHead * 32;
  static constexpr int kStages = 3;
  static constexpr int kTokens = Tile<kN>::bytes(kChunk), kHead = Tile<kP>::bytes(kChunk);
  static constexpr int kStage = kTokens + kHeads * kHead;
  struct Vectors {
    WeightPair weight[2][kHeads][kChunk / 2];
    bool live[2][kHeads];  // whether the chunk counts
  };
  static constexpr int kBytes = kStages * kStage + static_cast<int>(sizeof(Vectors));
  static constexpr int kCtas = kBytes <= 113 * 1024 ? 2 : 1;
};

/// The state that a segment of tokens leaves behind when none enters it, for one set of heads:
/// sum of Delta_s 2^(decay behind s) x_s^T B_s. Walks backwards, so that a head which has forgotten
/// everything earlier, or has come to the beginning of its document, can stop.
template <int kP, int kN, int kHeads>
class LocalStateCta {
  using Shape = LocalShape<kP, kN, kHeads>;

 public:
  __device__ __forceinline__ LocalStateCta(const SsdArguments& args, int64_t chunks,
                                           const LocalStates& out, unsigned char* memory)
      : args_(args),
        shared_(
            *reinterpret_cast<typename Shape::Vectors*>(memory + Shape::kStages * Shape::kStage)),
        tiles_(shared_address(memory)) {
    const int64_t sets = args.heads / kHeads, row = blockIdx.x / sets;
    head0_ = blockIdx.x % sets * kHeads;
    batch_ = row % args.batch;
    segment_ = row / args.batch;
    chunks_ = static_cast<int>(chunks);
    const int warp = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x / 32), 0);
    own_head_ = warp / Shape::kWarpsAHead;
    warp_ = warp % Shape::kWarpsAHead;
    steps_ = head_steps(args.sizes, batch_, segment_ * chunks * kChunk, head0_ + own_head_);
    place_ = (segment_ * args.batch + batch_) * args.heads + head0_ + own_head_;
    run(out);
  }

 private:
  /// Step i works on chunk chunks_ - 1 - i.
  __device__ __forceinline__ void run(const LocalStates& out) {
    StateRows<Shape::kTiles, kN> state;
    state.load(nullptr);
    for (int i = 0; i < Shape::kStages - 1; ++i) copy_stage(i);
    if (warp_ == 0) fill_weights(0, raw_of(0));
    for (int i = 0; i < chunks_; ++i) {
      wait_copies<Shape::kStages - 2>();
      __syncthreads();
      bool any = false;
      for (int h = 0; h < kHeads; ++h) any |= shared_.live[i & 1][h];
      if (!any) break;
      copy_stage(i + Shape::kStages - 1);
      RawPair raw{};
      if (warp_ == 0 && i + 1 < chunks_) raw = raw_of(i + 1);
      if (shared_.live[i & 1][own_head_]) add_chunk(i, state);
      if (warp_ == 0 && i + 1 < chunks_) fill_weights(i + 1, raw);
    }
    wait_copies<0>();
    state.store(out.states + (place_ * kP + channel0()) * kN, 1.f);
    if (warp_ == 0 && threadIdx.x % 32 == 0) out.decays[place_] = forgotten_ ? 0.f : ex2(suffix_);
  }

  __device__ __forceinline__ int channel0() const { return warp_ * 16 * Shape::kTiles; }
  __device__ __forceinline__ int64_t first_token(int i) const {
    return (segment_ * chunks_ + chunks_ - 1 - i) * kChunk;
  }
  __device__ __forceinline__ Documents documents_of(int i) const {
    if (args_.seq_idx == nullptr) return {};
    return cuda::documents_of(args_, batch_, first_token(i));
  }
  __device__ __forceinline__ Tile<kN, true> B_tile(int i) const {
    return {tiles_ + i % Shape::kStages * Shape::kStage};
  }
  __device__ __forceinline__ Tile<kP, true> x_tile(int i, int head) const {
    return {B_tile(i).address + Shape::kTokens + head * Shape::kHead};
  }

  __device__ __forceinline__ void copy_stage(int i) const {
    if (i < chunks_) {
      const int64_t token = first_token(i);
      const uint64_t absent = documents_of(i).padding;
      copy_chunk<kN, Shape::kThreads>(B_tile(i),
                                      args_.B.row(batch_, token, head0_ / args_.heads_a_group),
                                      args_.B.token_stride, absent);
#pragma unroll
      for (int h = 0; h < kHeads; ++h)
        copy_chunk<kP, Shape::kThreads>(x_tile(i, h), args_.x.row(batch_, token, head0_ + h),
                                        args_.x.token_stride, absent);
    }
    commit_copies();  // an empty group counts too
  }

  __device__ __forceinline__ RawPair raw_of(int i) const {
    return raw_pair(args_.sizes, steps_.dt + (chunks_ - 1 - i) * kChunk * args_.sizes.token_stride,
                    kChunk);
  }
  /// One warp, for its head.
  __device__ __forceinline__ void fill_weights(int i, const RawPair& raw) {
    const int lane = threadIdx.x & 31;
    if (lane == 0) shared_.live[i & 1][own_head_] = !forgotten_;
    if (forgotten_) return;
    const Documents documents = documents_of(i);
    const TokenPair tokens = chunk_tokens(args_.sizes, raw, steps_, documents);
    const float c_last = __shfl_sync(kAllLanes, tokens.c[1], 31);
    float weight[2];
#pragma unroll
    for (int k = 0; k < 2; ++k) weight[k] = tokens.delta[k] * ex2(c_last - tokens.c[k] + suffix_);
    shared_.weight[i & 1][own_head_][lane] = weight_pair(weight[0], weight[1]);
    suffix_ += c_last;
    forgotten_ = suffix_ < kForgotten;
  }

  __device__ __forceinline__ void add_chunk(int i, StateRows<Shape::kTiles, kN>& state) const {
#pragma unroll
    for (int s = 0; s < kChunk; s += 16) {
      uint32_t x[Shape::kTiles][4];
#pragma unroll
      for (int m = 0; m < Shape::kTiles; ++m) {
        x_tile(i, own_head_).load_a_transposed(x[m], s, channel0() + m * 16);
        weigh_tokens<false>(x[m], shared_.weight[i & 1][own_head_] + s / 2);
      }
      state.add_outer(x, B_tile(i), s);
    }
  }

  const SsdArguments& args_;
  typename Shape::Vectors& shared_;
  const uint32_t tiles_;
  int64_t batch_, head0_, segment_, place_;
  int chunks_, own_head_, warp_;
  HeadSteps steps_;
  float suffix_ = 0;  // log2 of the decay behind the chunks done; of warp 0 of a head
  bool forgotten_ = false;
};

template <int kP, int kN, int kHeads>
__global__ void __launch_bounds__(LocalShape<kP, kN, kHeads>::kThreads,
                                  LocalShape<kP, kN, kHeads>::kCtas)
    local_state_kernel(const __grid_constant__ SsdArguments args, int64_t chunks, LocalStates out) {
  extern __shared__ __align__(1024) unsigned char memory[];
  LocalStateCta<kP, kN, kHeads>(args, chunks, out, memory);
}

/// entering[k] = decay[k] entering[k-1] + local[k], element by element, entering[-1] the initial
/// state; `per_head` elements to a head, `row` to a segment.
__global__ void enter_segments_kernel(const float* __restrict__ initial, LocalStates local,
                                      float* __restrict__ entering, int64_t segments, int64_t row,
                                      int64_t per_head) {
  const int64_t i = blockIdx.x * int64_t{blockDim.x} + threadIdx.x;
  if (i >= row) return;
  const float* __restrict__ states = local.states;
  const float* __restrict__ decays = local.decays + i / per_head;
  const int64_t heads = row / per_head;
  float s = initial == nullptr ? 0.f : initial[i];
#pragma unroll 8
  for (int64_t k = 0; k < segments - 1; ++k) {
    s = s * decays[k * heads] + states[k * row + i];
    entering[k * row + i] = s;
  }
}

template <int kP, int kN, int kHeads>
DeviceAnswer find_states(const SsdArguments& args, const SegmentPlan& plan, const LocalStates& out,
                         const DeviceWork& work) {
  using Shape = LocalShape<kP, kN, kHeads>;
  const auto kernel = local_state_kernel<kP, kN, kHeads>;
  if (const auto error =
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, Shape::kBytes);
      error != cudaSuccess)
    return answer(error);
  const int64_t ctas = (plan.segments - 1) * args.batch * args.heads / kHeads;
  kernel<<<static_cast<unsigned>(ctas), Shape::kThreads, Shape::kBytes, stream_of(work)>>>(
      args, plan.chunks, out);
  return launched();
}

template <int kN>
DeviceAnswer find_states(const SsdInputs& in, const SegmentPlan& plan, const LocalStates& out,
                         const DeviceWork& work) {
  const SsdArguments args = ssd_arguments(in, {});
  const int64_t head_dim = in.x.size[3], heads_a_group = in.x.size[2] / in.B.size[2];
  if (head_dim == 128) return find_states<128, kN, 1>(args, plan, out, work);
  if (head_dim == 64)
    return heads_a_group % 2 == 0 ? find_states<64, kN, 2>(args, plan, out, work)
                                  : find_states<64, kN, 1>(args, plan, out, work);
  return heads_a_group % 4 == 0 ? find_states<32, kN, 4>(args, plan, out, work)
                                : find_states<32, kN, 1>(args, plan, out, work);
}

}  // namespace

SegmentPlan equal_segments(int64_t chunks, int64_t segments) {
  const int64_t length = ceil_div(chunks, std::min(segments, chunks));
  return {ceil_div(chunks, length), length};
}

SegmentPlan plan_segments(int64_t chunks, int64_t ctas, int ctas_an_sm) {
  const int multiprocessors = std::max(1, device_attribute(cudaDevAttrMultiProcessorCount));
  // Time in units of a chunk on a full multiprocessor; one CTA alone there is faster.
  constexpr double kAlone = 0.78, kFirstPass = 0.31, kLaunches = 0.7, kCarry = 0.1;
  SegmentPlan best{1, chunks};
  double least = 1e300;
  for (int64_t n = 1; n <= std::min<int64_t>(chunks, 32); ++n) {
    const SegmentPlan plan = equal_segments(chunks, n);
    const int64_t all = ctas * plan.segments;
    const double waves = all <= multiprocessors
                             ? kAlone
                             : double(ceil_div(all, int64_t{multiprocessors} * ctas_an_sm));
    const double extra =
        n == 1 ? 0 : kLaunches + kCarry * n + kFirstPass * (n - 1) / n * waves * plan.chunks;
    const double time = waves * plan.chunks + extra;
    if (time < least) least = time, best = plan;
  }
  return best;
}

SegmentStates segment_states(const SsdInputs& in, const SegmentPlan& plan, const DeviceWork& work) {
  const int64_t inner = plan.segments - 1, heads = in.x.size[0] * in.x.size[2];
  const int64_t per_head = in.x.size[3] * in.B.size[3], row = heads * per_head;
  const LocalStates local{take<float>(work, inner * row), take<float>(work, inner * heads)};
  const DeviceAnswer wrong = takes_local_states_sm90(in, plan)
                                 ? local_states_sm90(in, plan, local, work)
                             : in.B.size[3] == 64 ? find_states<64>(in, plan, local, work)
                                                  : find_states<128>(in, plan, local, work);
  if (wrong != nullptr) return {wrong, nullptr};
  float* entering = take<float>(work, inner * row);
  enter_segments_kernel<<<static_cast<unsigned>(ceil_div(row, 256)), 256, 0, stream_of(work)>>>(
      in.initial_state.as<float>(), local, entering, plan.segments, row, per_head);
  return {launched(), entering};
}

}  // namespace adder::kernels::cuda
