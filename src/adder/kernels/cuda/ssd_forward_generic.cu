// ssd() token after token in f32, for every shape and dtype: the recurrence as it stands in
// kernels/ssd.h. A CTA holds some channels of one head's state in its registers and walks the
// sequence; tokens come through shared memory a tile at a time.
#include "adder/kernels/cuda/ssd_kernels.h"
#include "adder/kernels/cuda/ssd_state_tile.cuh"
#include "adder/kernels/cuda/ssd_walk.cuh"

namespace adder::kernels::cuda {
namespace {

template <typename Shape>
struct ForwardTile {
  static constexpr int kTokens = std::min(8, 1024 / Shape::kWidth);

  alignas(16) float B[kTokens * Shape::kWidth];
  alignas(16) float C[kTokens * Shape::kWidth];
  alignas(16) float x[kTokens * Shape::kChannels];
  float y[kTokens * Shape::kChannels];  // before the gate
  TokenStep steps[2][kTokens];          // of this tile and the one before, whose y is still written
};

template <typename Shape, typename T>
class ForwardWalk {
 public:
  using Tile = ForwardTile<Shape>;

  __device__ __forceinline__ ForwardWalk(const SsdInputs& in, const SsdOutputs& out, int slices,
                                         Tile& tile)
      : in_(in),
        out_(out),
        tile_(tile),
        head_(in, slices, Shape::kChannels),
        steps_(in, head_.b, head_.h),
        x_rows_(in.x, head_.b, head_.h, head_.first_channel, head_.channels),
        B_rows_(in.B, head_.b, head_.group, 0, in.B.size[3]),
        C_rows_(in.C, head_.b, head_.group, 0, in.B.size[3]) {}

  __device__ __forceinline__ void run() {
    const int64_t length = in_.x.size[1], width = in_.B.size[3];
    state_.clear();
    if (given(in_.initial_state))
      state_.template load<false>(head_.state_in(in_.initial_state), head_.channels, width);
    const int row = StateTile<Shape>::summed_row();
    D_ = row < head_.channels ? skip_weight(in_.D, head_.h, head_.first_channel + row) : 0.f;
    load_tile(0);
    for (int64_t first = 0; first < length; first += Tile::kTokens) {
      put_tile();
      __syncthreads();
      load_tile(first + Tile::kTokens);
      const int count = count_of(first);
      if (StateTile<Shape>::warp_has(head_.channels))
        for (int t = 0; t < count; ++t) step(t);
      __syncthreads();
      write_y(first, count);
      parity_ ^= 1;
    }
    if (given(out_.final_state))
      state_.template store<false>(head_.state_in(out_.final_state), head_.channels, width);
  }

 private:
  /// Tokens of the tile that begins at `first`; none behind the end.
  __device__ __forceinline__ int count_of(int64_t first) const {
    return static_cast<int>(std::clamp<int64_t>(in_.x.size[1] - first, 0, Tile::kTokens));
  }
  __device__ __forceinline__ void load_tile(int64_t first) {
    const int count = count_of(first);
    if (threadIdx.x < count) step_ = steps_.load(first + threadIdx.x);
    x_.load(x_rows_, first, count);
    B_.load(B_rows_, first, count);
    C_.load(C_rows_, first, count);
  }
  __device__ __forceinline__ void put_tile() {
    if (threadIdx.x < Tile::kTokens) tile_.steps[parity_][threadIdx.x] = steps_.step(step_);
    x_.store(tile_.x);
    B_.store(tile_.B);
    C_.store(tile_.C);
  }

  /// S_t from S_{t-1}, and S_t C_t + D x_t; 0 at padding.
  __device__ __forceinline__ void step(int t) {
    const TokenStep step = tile_.steps[parity_][t];
    const int place = t * Shape::kChannels + StateTile<Shape>::summed_row();
    float y = 0;
    if (!step.kind.padding) {
      state_.clear_if(step.kind.begins);
      state_.advance(step.decay, step.delta, tile_.x + t * Shape::kChannels,
                     tile_.B + t * Shape::kWidth);
      y = fmaf(D_, tile_.x[place], state_.times(tile_.C + t * Shape::kWidth));
    }
    if (StateTile<Shape>::keeps_sum()) tile_.y[place] = y;
  }

  /// Times silu(z).
  __device__ __forceinline__ void write_y(int64_t first, int count) {
    const int channel = threadIdx.x % Shape::kChannels;
    if (channel >= head_.channels) return;
    constexpr int kStep = Shape::kThreads / Shape::kChannels;  // tokens at a time
#pragma unroll
    for (int i = 0; i < Tile::kTokens; i += kStep) {
      const int t = i + threadIdx.x / Shape::kChannels;
      if (t >= count) break;
      float y = tile_.y[t * Shape::kChannels + channel];
      if (given(in_.z) && !tile_.steps[parity_][t].kind.padding)
        y *= silu(to_f32(data_of<const T>(in_.z)[head_.at(in_.z, first + t, channel)]));
      store_f32(out_.y.data, out_.y.dtype, head_.at(out_.y, first + t, channel), y);
    }
  }

  const SsdInputs& in_;
  const SsdOutputs& out_;
  Tile& tile_;
  const HeadSlice head_;
  const HeadSteps steps_;
  const TokenRows<T> x_rows_, B_rows_, C_rows_;
  StateTile<Shape> state_;
  float D_;  // of channel summed_row()
  int parity_ = 0;
  HeadSteps::Ahead step_{};
  RowsAhead<T, Tile::kTokens, Shape::kChannels, Shape::kThreads> x_;
  RowsAhead<T, Tile::kTokens, Shape::kWidth, Shape::kThreads> B_, C_;
};

template <typename Shape, typename T>
__global__ __launch_bounds__(Shape::kThreads) void forward_kernel(
    const __grid_constant__ SsdInputs in, const __grid_constant__ SsdOutputs out, int slices) {
  __shared__ ForwardTile<Shape> tile;
  ForwardWalk<Shape, T>(in, out, slices, tile).run();
}

}  // namespace

DeviceAnswer ssd_forward_generic(const SsdInputs& in, const SsdOutputs& out,
                                 const DeviceWork& work) {
  const auto [batch, length, heads, head_dim] = in.x.size;
  return with_tile_shape(in.B.size[3], [&](auto shape) {
    using Shape = decltype(shape);
    const int64_t slices = ceil_div(head_dim, Shape::kChannels);
    const auto ctas = static_cast<unsigned>(batch * heads * slices);
    if (ctas == 0) return DeviceAnswer{};
    const auto kernel = in.x.dtype == DType::f32 ? forward_kernel<Shape, float>
                                                 : forward_kernel<Shape, __nv_bfloat16>;
    kernel<<<ctas, Shape::kThreads, 0, stream_of(work)>>>(in, out, static_cast<int>(slices));
    return launched();
  });
}

}  // namespace adder::kernels::cuda
