// Adds the partial sums of the tiles: fixed places, in a fixed order.
#include "adder/kernels/cuda/ssd_backward_mma.cuh"

namespace adder::kernels::cuda {
namespace {

constexpr int kThreads = 256;

/// to[head, column] = sum over i < count of from[head, i, column]; a block for each sum.
struct HeadTotal {
  const float* from;  // (heads, count, columns)
  float* to;          // nullptr: not asked for
  int64_t head_stride, column_stride;
  int columns;
};
struct HeadTotals {
  HeadTotal of[3];
  int count;
};

__global__ void head_totals_kernel(HeadTotals all) {
  const HeadTotal total = all.of[blockIdx.z];
  const int head = blockIdx.x, column = blockIdx.y;
  if (total.to == nullptr || column >= total.columns) return;
  const float* from = total.from + static_cast<int64_t>(head) * all.count * total.columns + column;
  double sum = 0;
  for (int i = threadIdx.x; i < all.count; i += kThreads)
    sum += static_cast<double>(from[static_cast<int64_t>(i) * total.columns]);
  __shared__ double parts[kThreads];
  parts[threadIdx.x] = sum;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (threadIdx.x < half) parts[threadIdx.x] += parts[threadIdx.x + half];
  }
  if (threadIdx.x == 0)
    total.to[head * total.head_stride + column * total.column_stride] =
        static_cast<float>(parts[0]);
}

/// Sums of the blocks of heads, two neighbours at a time.
__global__ void key_totals_kernel(const float* from, Rows to, Sizes sizes, int states, int blocks) {
  const int64_t all = int64_t{1} * sizes.batch * sizes.length * sizes.groups * states;
  const int64_t i = 2 * (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x);
  if (i >= all) return;
  float2 sum = {0, 0};
  for (int block = 0; block < blocks; ++block) {
    const float2 part = *reinterpret_cast<const float2*>(from + block * all + i);
    sum.x += part.x, sum.y += part.y;
  }
  const int64_t row = i / states, token = row / sizes.groups;
  __nv_bfloat16* place = to.at(token / sizes.length, token % sizes.length, row % sizes.groups);
  *reinterpret_cast<uint32_t*>(place + i % states) = pack_bf16(sum.x, sum.y);
}

HeadTotal head_total(const float* from, const View<1>& to) {
  return {from, to.as<float>(), to.stride[0], 0, 1};
}

}  // namespace

DeviceAnswer launch_sums(const SsdInputs& in, const SsdGradients& grads, const Sizes& sizes,
                         int blocks, const Workspace& space, cudaStream_t stream) {
  const int columns = in.D.given() ? static_cast<int>(in.D.size[1]) : 1;
  const HeadTotal skip = {space.dD, in.D.given() ? grads.grad_D.as<float>() : nullptr,
                          grads.grad_D.stride[0], grads.grad_D.stride[1], columns};
  const HeadTotals totals = {
      {head_total(space.dA, grads.grad_A), head_total(space.dt_bias, grads.grad_dt_bias), skip},
      sizes.batch * sizes.chunks};
  head_totals_kernel<<<dim3(sizes.heads, columns, 3), kThreads, 0, stream>>>(totals);
  if (const auto error = launched()) return error;
  if (blocks == 1) return nullptr;
  const int states = static_cast<int>(in.B.size[3]);
  const int64_t pairs = int64_t{1} * sizes.batch * sizes.length * sizes.groups * states / 2;
  const auto grid = static_cast<unsigned>(ceil_div(pairs, kThreads));
  for (const auto& [from, to] :
       {std::pair{space.dB, rows_of(grads.grad_B)}, std::pair{space.dC, rows_of(grads.grad_C)}}) {
    if (to.data == nullptr) continue;
    key_totals_kernel<<<grid, kThreads, 0, stream>>>(from, to, sizes, states, blocks);
    if (const auto error = launched()) return error;
  }
  return nullptr;
}

}  // namespace adder::kernels::cuda
