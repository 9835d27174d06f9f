// One token: each state is read once and written once, and that is what the time goes into. A
// thread asks for all of its part of a state before it uses any.
#include "adder/kernels/cuda/functions.h"
#include "adder/kernels/cuda/ssd_state_tile.cuh"
#include "adder/kernels/cuda/ssd_walk.cuh"

namespace adder::kernels::cuda {
namespace {

/// Which row, head and channels a CTA updates, and where that row's state is kept (< 0: nowhere).
struct UpdateSlice {
  int64_t b, h, group, slot, first_channel, channels;

  __device__ UpdateSlice(const SsdUpdate& args, unsigned slices, int channels_a_slice) {
    const auto heads = static_cast<unsigned>(args.x.size[1]);
    const unsigned head = blockIdx.x / slices;
    h = head % heads;
    b = head / heads;
    group = head % heads / (heads / static_cast<unsigned>(args.B.size[1]));
    const View<1>& indices = args.state_indices;
    slot = given(indices) ? data_of<int32_t>(indices)[b * indices.stride[0]] : b;
    first_channel = int64_t{blockIdx.x % slices} * channels_a_slice;
    channels = std::min<int64_t>(channels_a_slice, args.x.size[2] - first_channel);
  }
  __device__ float* state(const View<4>& view) const {
    return data_of<float>(view) +
           ((slot * view.size[1] + h) * view.size[2] + first_channel) * view.size[3];
  }
};

/// Element `channel` of the slice's row in a (batch, heads, head_dim) view.
__device__ __forceinline__ int64_t at(const View<3>& view, const UpdateSlice& slice,
                                      int64_t channel) {
  return slice.b * view.stride[0] + slice.h * view.stride[1] +
         (slice.first_channel + channel) * view.stride[2];
}

template <typename Shape>
struct UpdateToken {
  alignas(16) float B[Shape::kWidth];
  alignas(16) float C[Shape::kWidth];
  alignas(16) float x[Shape::kChannels];
};

template <typename Shape>
__device__ __forceinline__ void stage(const SsdUpdate& args, const UpdateSlice& slice,
                                      UpdateToken<Shape>& token) {
  const int64_t width = args.B.size[2];
  for (int n = threadIdx.x; n < Shape::kWidth; n += Shape::kThreads) {
    const auto read = [&](const View<3>& view) {
      const int64_t i =
          slice.b * view.stride[0] + slice.group * view.stride[1] + n * view.stride[2];
      return n < width ? load_f32(view.data, view.dtype, i) : 0.f;
    };
    token.B[n] = read(args.B);
    token.C[n] = read(args.C);
  }
  for (int p = threadIdx.x; p < Shape::kChannels; p += Shape::kThreads)
    token.x[p] =
        p < slice.channels ? load_f32(args.x.data, args.x.dtype, at(args.x, slice, p)) : 0.f;
}

/// D x + S C of one channel, times silu(z).
__device__ __forceinline__ void write_y(const SsdUpdate& args, const UpdateSlice& slice,
                                        int channel, float x, float SC) {
  float y = fmaf(skip_weight(args.D, slice.h, slice.first_channel + channel), x, SC);
  if (given(args.z)) y *= silu(load_f32(args.z.data, args.z.dtype, at(args.z, slice, channel)));
  store_f32(args.y.data, args.y.dtype, at(args.y, slice, channel), y);
}

template <typename Shape, bool kWhole>
__global__ __launch_bounds__(Shape::kThreads) void update_kernel(SsdUpdate args, int slices) {
  __shared__ UpdateToken<Shape> token;
  const UpdateSlice slice(args, slices, Shape::kChannels);
  const int64_t width = args.B.size[2];
  if (slice.slot < 0) {
    for (int p = threadIdx.x; p < slice.channels; p += Shape::kThreads)
      store_f32(args.y.data, args.y.dtype, at(args.y, slice, p), 0.f);
    return;
  }
  StateTile<Shape> state;
  state.template load<kWhole>(slice.state(args.state), slice.channels, width);
  stage(args, slice, token);
  const float bias =
      given(args.dt_bias) ? data_of<float>(args.dt_bias)[slice.h * args.dt_bias.stride[0]] : 0.f;
  const int64_t dt_at = slice.b * args.dt.stride[0] + slice.h * args.dt.stride[1];
  const float delta = step_size(args, load_f32(args.dt.data, args.dt.dtype, dt_at) + bias).value;
  const float decay = expf(delta * data_of<float>(args.A)[slice.h * args.A.stride[0]]);
  __syncthreads();
  state.advance(decay, delta, token.x, token.B);
  state.template store<kWhole>(slice.state(args.state), slice.channels, width);
  const float SC = state.times(token.C);
  const int channel = state.summed_row();
  if (state.keeps_sum() && channel < slice.channels)
    write_y(args, slice, channel, token.x[channel], SC);
}

}  // namespace

DeviceAnswer ssd_update(const SsdUpdate& args, const DeviceWork& work) {
  const auto [batch, heads, head_dim] = args.x.size;
  const int64_t width = args.B.size[2];
  const bool whole = width % 4 == 0 && reinterpret_cast<uintptr_t>(args.state.data) % 16 == 0;
  return with_tile_shape(width, [&](auto shape) {
    using Shape = decltype(shape);
    const int64_t slices = ceil_div(head_dim, Shape::kChannels);
    const auto ctas = static_cast<unsigned>(batch * heads * slices);
    if (ctas == 0) return DeviceAnswer{};
    const auto kernel = whole ? update_kernel<Shape, true> : update_kernel<Shape, false>;
    kernel<<<ctas, Shape::kThreads, 0, stream_of(work)>>>(args, static_cast<int>(slices));
    return launched();
  });
}

}  // namespace adder::kernels::cuda
