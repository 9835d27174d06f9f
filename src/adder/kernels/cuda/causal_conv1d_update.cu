// One token of the causal convolution: a thread convolves one channel of one row and shifts its
// taps.
#include "adder/kernels/cuda/functions.h"
#include "adder/kernels/cuda/ssd_walk.cuh"

namespace adder::kernels::cuda {
namespace {

constexpr int kThreads = 256, kMostTaps = 8;

/// The taps of one channel, oldest first, x last, with their weights.
struct Taps {
  float x[kMostTaps], weight[kMostTaps];
};

template <typename T>
__device__ __forceinline__ Taps read_taps(const Conv1dUpdate& args, int64_t b, int64_t slot,
                                          int64_t c) {
  const int history = static_cast<int>(args.weight.size[1]) - 1;
  const T* state = data_of<T>(args.state) + slot * args.state.stride[0] + c * args.state.stride[2];
  const float* weight = data_of<float>(args.weight) + c * args.weight.stride[0];
  Taps taps;
#pragma unroll
  for (int w = 0; w < kMostTaps; ++w) {
    taps.x[w] = w < history ? to_f32(state[w * args.state.stride[1]]) : 0.f;
    taps.weight[w] = w <= history ? weight[w * args.weight.stride[1]] : 0.f;
    if (w == history)
      taps.x[w] = to_f32(data_of<T>(args.x)[b * args.x.stride[0] + c * args.x.stride[1]]);
  }
  return taps;
}

__device__ __forceinline__ void shift_state(const Conv1dUpdate& args, int64_t slot, int64_t c,
                                            const Taps& taps) {
  const int64_t first = slot * args.state.stride[0] + c * args.state.stride[2];
#pragma unroll
  for (int w = 1; w < kMostTaps; ++w)
    if (w < args.weight.size[1])
      store_f32(args.state.data, args.state.dtype, first + (w - 1) * args.state.stride[1],
                taps.x[w]);
}

template <typename T>
__global__ void update_kernel(Conv1dUpdate args) {
  const auto channels = static_cast<unsigned>(args.x.size[1]);
  const unsigned i = blockIdx.x * kThreads + threadIdx.x;
  const int64_t b = i / channels, c = i % channels;
  if (b >= args.x.size[0]) return;
  const int64_t y_at = b * args.y.stride[0] + c * args.y.stride[1];
  const View<1>& indices = args.state_indices;
  const int64_t slot = given(indices) ? data_of<int32_t>(indices)[b * indices.stride[0]] : b;
  if (slot < 0) return store_f32(args.y.data, args.y.dtype, y_at, 0.f);

  const Taps taps = read_taps<T>(args, b, slot, c);
  float sum = given(args.bias) ? data_of<float>(args.bias)[c * args.bias.stride[0]] : 0.f;
#pragma unroll
  for (int w = 0; w < kMostTaps; ++w) sum = fmaf(taps.weight[w], taps.x[w], sum);
  shift_state(args, slot, c, taps);
  store_f32(args.y.data, args.y.dtype, y_at, args.silu ? silu(sum) : sum);
}

}  // namespace

DeviceAnswer causal_conv1d_update(const Conv1dUpdate& args, const DeviceWork& work) {
  const int64_t count = args.x.size[0] * args.x.size[1];
  if (count == 0) return nullptr;
  const auto kernel =
      args.x.dtype == DType::f32 ? update_kernel<float> : update_kernel<__nv_bfloat16>;
  kernel<<<static_cast<unsigned>(ceil_div(count, kThreads)), kThreads, 0, stream_of(work)>>>(args);
  return launched();
}

}  // namespace adder::kernels::cuda
