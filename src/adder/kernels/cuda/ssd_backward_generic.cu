// The gradients of ssd() token after token in f32, for every shape and dtype
// (ssd_backward_walk.cuh); then what is summed over channels, heads and rows, in a fixed order.
#include "adder/kernels/cuda/ssd_backward_walk.cuh"
#include "adder/kernels/cuda/ssd_kernels.h"

namespace adder::kernels::cuda {
namespace {

constexpr int64_t kMostWorkspace = int64_t{3} << 29;  // unless one row needs more
constexpr int kSumThreads = 256, kHeadThreads = 1024;

template <typename Shape, typename T>
__global__ __launch_bounds__(Shape::kThreads,
                             3) void walk_kernel(const __grid_constant__ SsdInputs in,
                                                 const __grid_constant__ SsdGradients grads,
                                                 const __grid_constant__ WalkResults results) {
  extern __shared__ float4 memory[];
  BackwardWalk<Shape, T>(in, grads, results, *reinterpret_cast<BackwardTile<Shape>*>(memory)).run();
}

/// dB and dC: a thread adds up one number over the heads of a group.
__global__ void sum_heads_kernel(SsdInputs in, SsdGradients grads, WalkResults results,
                                 int64_t count) {
  const int64_t i = int64_t{blockIdx.x} * kSumThreads + threadIdx.x;
  if (i >= count) return;
  const int64_t length = in.x.size[1], groups = in.B.size[2], width = in.B.size[3];
  const int64_t n = i % width, array = i / width % 2, g = i / (2 * width) % groups;
  const int64_t row = i / (2 * width * groups), parts = in.x.size[2] / groups * results.slices;
  const View<4>& view = array == 0 ? grads.grad_B : grads.grad_C;
  if (!given(view)) return;
  const float* from = results.BC + ((row * groups + g) * parts * 2 + array) * results.BC_width + n;
  float sum = 0;
#pragma unroll 8
  for (int64_t part = 0; part < parts; ++part) sum += from[part * 2 * results.BC_width];
  const int64_t b = results.first_row + row / length, t = row % length;
  store_f32(view.data, view.dtype, b * view.stride[0] + t * view.stride[1] + g * view.stride[2] + n,
            sum);
}

/// The sum over the CTA, in every thread.
__device__ float sum_threads(float value) {
  __shared__ float warps[kHeadThreads / 32];
#pragma unroll
  for (int offset = 16; offset >= 1; offset /= 2)
    value += __shfl_xor_sync(0xffffffffu, value, offset);
  __syncthreads();
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  float sum = 0;
  for (int warp = 0; warp < kHeadThreads / 32; ++warp) sum += warps[warp];
  return sum;
}

/// d Delta of one head's tokens, and through it dt. Returns this thread's part of what A and
/// dt_bias get.
__device__ float2 finish_steps(const SsdInputs& in, const SsdGradients& grads,
                               const WalkResults& results, int64_t h) {
  const auto [batch, length, heads, head_dim] = in.x.size;
  float2 sums{0, 0};
  for (int64_t i = threadIdx.x; i < batch * length; i += kHeadThreads) {
    const int64_t b = i / length, t = i % length;
    float xGB = 0, GS = 0;
    for (int slice = 0; slice < results.slices; ++slice) {
      const float2 part = results.scalars[(i * heads + h) * results.slices + slice];
      xGB += part.x, GS += part.y;
    }
    const HeadSteps steps(in, b, h);
    const StepSize delta = steps.size(steps.load(t));
    const float d_dt = fmaf(steps.A(), GS, xGB) * delta.slope;
    sums.x = fmaf(delta.value, GS, sums.x), sums.y += d_dt;
    const View<3>& view = grads.grad_dt;
    if (given(view))
      store_f32(view.data, view.dtype, b * view.stride[0] + t * view.stride[1] + h * view.stride[2],
                d_dt);
  }
  return sums;
}

/// Sums over the rows; D may be one number a head.
__device__ void finish_D(const SsdInputs& in, const View<2>& grad_D, const float* D, int64_t h) {
  const auto [batch, length, heads, head_dim] = in.x.size;
  float whole = 0;
  for (int64_t p = threadIdx.x; p < head_dim; p += kHeadThreads) {
    float sum = 0;
    for (int64_t b = 0; b < batch; ++b) sum += D[(b * heads + h) * head_dim + p];
    whole += sum;
    if (grad_D.size[1] != 1)
      data_of<float>(grad_D)[h * grad_D.stride[0] + p * grad_D.stride[1]] = sum;
  }
  if (grad_D.size[1] != 1) return;
  whole = sum_threads(whole);
  if (threadIdx.x == 0) data_of<float>(grad_D)[h * grad_D.stride[0]] = whole;
}

/// A CTA for each head.
__global__ __launch_bounds__(kHeadThreads) void finish_kernel(SsdInputs in, SsdGradients grads,
                                                              WalkResults results) {
  const int64_t h = blockIdx.x;
  const float2 parts = finish_steps(in, grads, results, h);
  const float dA = sum_threads(parts.x), d_bias = sum_threads(parts.y);
  if (threadIdx.x == 0 && given(grads.grad_A))
    data_of<float>(grads.grad_A)[h * grads.grad_A.stride[0]] = dA;
  if (threadIdx.x == 0 && given(grads.grad_dt_bias))
    data_of<float>(grads.grad_dt_bias)[h * grads.grad_dt_bias.stride[0]] = d_bias;
  if (given(grads.grad_D)) finish_D(in, grads.grad_D, results.D, h);
}

/// How the walk is cut, and its memory.
template <typename Shape>
struct WalkPlan {
  using Tile = BackwardTile<Shape>;

  int64_t slices, kept_states, BC_width;
  int64_t kept_quads, BC_numbers;  // of a row
  int64_t rows;                    // at a time

  explicit WalkPlan(const SsdInputs& in) {
    const auto [batch, length, heads, head_dim] = in.x.size;
    slices = ceil_div(head_dim, Shape::kChannels);
    kept_states = ceil_div(length, Tile::kChunk) + Tile::kChunk / Tile::kTokens;
    BC_width = ceil_div(in.B.size[3], 4) * 4;
    kept_quads = heads * slices * kept_states * StateTile<Shape>::kTileQuads;
    BC_numbers = length * heads * slices * 2 * BC_width;
    const int64_t most = std::max<int64_t>(kMostWorkspace / (16 * kept_quads + 4 * BC_numbers), 1);
    const int64_t slabs = std::max<int64_t>(ceil_div(batch, most), 1);
    rows = std::max<int64_t>(ceil_div(batch, slabs), 1);
  }
  WalkResults take_memory(const SsdInputs& in, const SsdGradients& grads,
                          const DeviceWork& work) const {
    const auto [batch, length, heads, head_dim] = in.x.size;
    WalkResults results{0, static_cast<int>(slices), kept_states, {}, {}, BC_width, {}, {}};
    results.kept = take<float4>(work, rows * kept_quads);
    if (grads.grad_B.given() || grads.grad_C.given())
      results.BC = take<float>(work, rows * BC_numbers);
    results.scalars = take<float2>(work, batch * length * heads * slices);
    results.D = take<float>(work, batch * heads * head_dim);
    return results;
  }
};

template <typename Shape, typename T>
DeviceAnswer backward(const SsdInputs& in, const SsdGradients& grads, const DeviceWork& work) {
  const WalkPlan<Shape> plan(in);
  WalkResults results = plan.take_memory(in, grads, work);
  const auto walk = walk_kernel<Shape, T>;
  constexpr int kBytes = sizeof(BackwardTile<Shape>);
  const DeviceAnswer refused =
      answer(cudaFuncSetAttribute(walk, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes));
  if (refused != nullptr) return refused;
  const int64_t batch = in.x.size[0], heads = in.x.size[2];
  for (; results.first_row < batch; results.first_row += plan.rows) {
    const int64_t rows = std::min(plan.rows, batch - results.first_row);
    const auto ctas = static_cast<unsigned>(rows * heads * plan.slices);
    walk<<<ctas, Shape::kThreads, kBytes, stream_of(work)>>>(in, grads, results);
    if (const DeviceAnswer failed = launched()) return failed;
    if (results.BC == nullptr) continue;
    const int64_t count = rows * in.x.size[1] * in.B.size[2] * 2 * in.B.size[3];
    sum_heads_kernel<<<static_cast<unsigned>(ceil_div(count, kSumThreads)), kSumThreads, 0,
                       stream_of(work)>>>(in, grads, results, count);
    if (const DeviceAnswer failed = launched()) return failed;
  }
  finish_kernel<<<static_cast<unsigned>(heads), kHeadThreads, 0, stream_of(work)>>>(in, grads,
                                                                                    results);
  return launched();
}

}  // namespace

DeviceAnswer ssd_backward_generic(const SsdInputs& in, const SsdGradients& grads,
                                  const DeviceWork& work) {
  return with_tile_shape(in.B.size[3], [&](auto shape) {
    using Shape = decltype(shape);
    return in.x.dtype == DType::f32 ? backward<Shape, float>(in, grads, work)
                                    : backward<Shape, __nv_bfloat16>(in, grads, work);
  });
}

}  // namespace adder::kernels::cuda
