// The backward walk of ssd() for some channels of one head, as one CTA does it, in f32. With G_t
// the gradient of S_t, backwards in time (ref/ssd_backward.cpp):
//
//   G_t    = decay_{t+1} G_{t+1} + dy_t (outer) C_t        dC_t = S_t^T dy_t
//   dx_t   = Delta_t G_t B_t + D dy_t                      dB_t = Delta_t G_t^T x_t
//   dDelta = <x_t, G_t B_t> + A decay_t <G_t, S_{t-1}>     dA   = sum_t Delta_t decay_t <G_t,
//   S_{t-1}>
//
// G and a state stay in registers. States come back by walking forward again: one is kept for each
// chunk of the sequence, one for each segment of the chunk at hand, and from that one on for each
// token anew.
#pragma once

#include "adder/kernels/cuda/ssd_state_tile.cuh"
#include "adder/kernels/cuda/ssd_walk.cuh"

namespace adder::kernels::cuda {

/// What the walk leaves for the kernels that sum over channels, heads and rows.
struct WalkResults {
  int64_t first_row;  // of the batch: the walk does some rows at a time
  int slices;
  int64_t kept_states;  // of a CTA
  float4* kept;         // (CTAs, kept_states, quads of a state)
  float* BC;            // (rows, length, heads, slices, 2, BC_width) dB and dC, or nullptr
  int64_t BC_width;     // d_state, rounded up to a multiple of 4
  float2* scalars;      // (batch, length, heads, slices) <x, G B> and decay <G, S_{t-1}>
  float* D;             // (batch, heads, head_dim) sum over time of dy x
};

template <typename Shape>
struct BackwardTile {
  static constexpr int kTokens = std::min(8, 1024 / Shape::kWidth);
  static constexpr int kReplay = std::min(4, kTokens);  // tokens from one state to the next
  static constexpr int kChunk = 64;
  static constexpr int kColumns = 2 * Shape::kWidth + 4;  // dB, dC and two scalars of a token

  alignas(16) float B[kTokens * Shape::kWidth];
  alignas(16) float C[kTokens * Shape::kWidth];
  alignas(16) float x[kTokens * Shape::kChannels];
  alignas(16) float dy[kTokens * Shape::kChannels];  // of y before the gate
  float GB[kTokens * Shape::kChannels], SC[kTokens * Shape::kChannels];
  alignas(16) float sums[2][Shape::kWarps][kColumns];  // of each warp; this token's and the last's
  float4 before[kTokens / kReplay][StateTile<Shape>::kTileQuads];  // before each kReplay-th token
  TokenStep steps[kTokens];
};

template <typename Shape, typename T>
class BackwardWalk {
 public:
  using Tile = BackwardTile<Shape>;
  using State = StateTile<Shape>;

  __device__ __forceinline__ BackwardWalk(const SsdInputs& in, const SsdGradients& grads,
                                          const WalkResults& results, Tile& tile)
      : in_(in),
        grads_(grads),
        results_(results),
        tile_(tile),
        head_(in, results.slices, Shape::kChannels, results.first_row),
        steps_(in, head_.b, head_.h),
        x_rows_(in.x, head_.b, head_.h, head_.first_channel, head_.channels),
        dy_rows_(grads.grad_y, head_.b, head_.h, head_.first_channel, head_.channels),
        B_rows_(in.B, head_.b, head_.group, 0, in.B.size[3]),
        C_rows_(in.C, head_.b, head_.group, 0, in.B.size[3]),
        kept_(results.kept + blockIdx.x * results.kept_states * State::kTileQuads),
        tokens_apart_(static_cast<int>(in.x.size[2]) * results.slices),
        BC_(results.BC == nullptr ? nullptr
                                  : results.BC + place(results.first_row) * 2 * results.BC_width),
        scalars_(results.scalars + place(0)),
        live_(State::warp_has(head_.channels)) {}

  __device__ __forceinline__ void run() {
    const int64_t length = in_.x.size[1], width = in_.B.size[3];
    const int64_t chunks = ceil_div(length, Tile::kChunk);
    state_.clear();
    if (given(in_.initial_state))
      state_.template load<false>(head_.state_in(in_.initial_state), head_.channels, width);
    keep_states(0, length, Tile::kChunk, kept_);
    clear_sums();
    G_.clear();
    if (given(grads_.grad_final_state))
      G_.template load<false>(head_.state_in(grads_.grad_final_state), head_.channels, width);
    for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
      const int64_t begin = chunk * Tile::kChunk;
      back_chunk(begin, std::min(begin + Tile::kChunk, length), kept_ + chunk * State::kTileQuads,
                 kept_ + chunks * State::kTileQuads);
    }
    if (given(grads_.grad_initial_state))
      G_.template store<false>(head_.state_in(grads_.grad_initial_state), head_.channels, width);
    write_D();
  }

 private:
  /// Of token 0 in an array (rows from `row` on, length, heads, slices).
  __device__ __forceinline__ int64_t place(int64_t row) const {
    return (head_.b - row) * in_.x.size[1] * tokens_apart_ + head_.h * results_.slices +
           head_.slice;
  }

  /// Walks the state over tokens [begin, end), and keeps it as it is before every `every`-th.
  __device__ __forceinline__ void keep_states(int64_t begin, int64_t end, int every,
                                              float4* place) {
    load_inputs(begin, count_of(begin, end));
    for (int64_t first = begin; first < end; first += Tile::kTokens) {
      const int passed = static_cast<int>((first - begin) % every), count = count_of(first, end);
      if (passed == 0) state_.keep(place + (first - begin) / every * State::kTileQuads);
      __syncthreads();
      put_inputs();
      __syncthreads();
      load_inputs(first + Tile::kTokens, count_of(first + Tile::kTokens, end));
      for (int t = 0; t < count; ++t) advance(t);
    }
  }

  __device__ __forceinline__ void back_chunk(int64_t begin, int64_t end, const float4* before,
                                             float4* tiles) {
    state_.recall(before);
    keep_states(begin, end, Tile::kTokens, tiles);
    int64_t tile = ceil_div(end - begin, Tile::kTokens) - 1;
    load_tile(begin, end, tile);
    for (; tile >= 0; --tile) {
      const int64_t first = begin + tile * Tile::kTokens;
      const int count = count_of(first, end);
      __syncthreads();
      put_tile(first, count);
      __syncthreads();
      load_tile(begin, end, tile - 1);
      state_.recall(tiles + tile * State::kTileQuads);
      keep_replays(count);
      for (int t = count - 1; t >= 0; --t) back_token(first, t);
      __syncthreads();
      write_gradients(first, count);
    }
  }

  static __device__ __forceinline__ int count_of(int64_t first, int64_t end) {
    return static_cast<int>(std::clamp<int64_t>(end - first, 0, Tile::kTokens));
  }

  // What walking forward needs of a tile; and what walking backward does.
  __device__ __forceinline__ void load_inputs(int64_t first, int count) {
    if (threadIdx.x < count) step_ahead_ = steps_.load(first + threadIdx.x);
    x_ahead_.load(x_rows_, first, count);
    B_ahead_.load(B_rows_, first, count);
  }
  __device__ __forceinline__ void put_inputs() {
    if (threadIdx.x < Tile::kTokens) tile_.steps[threadIdx.x] = steps_.step(step_ahead_);
    x_ahead_.store(tile_.x);
    B_ahead_.store(tile_.B);
  }
  __device__ __forceinline__ void load_tile(int64_t begin, int64_t end, int64_t tile) {
    const int64_t first = begin + tile * Tile::kTokens;
    const int count = tile < 0 ? 0 : count_of(first, end);
    load_inputs(first, count);
    dy_ahead_.load(dy_rows_, first, count);
    C_ahead_.load(C_rows_, first, count);
  }
  __device__ __forceinline__ void put_tile(int64_t first, int count) {
    put_inputs();
    dy_ahead_.store(tile_.dy);
    C_ahead_.store(tile_.C);
    if (!given(in_.z)) return;
    __syncthreads();
    for_each_channel(count, [&](int t, int64_t channel, int place) {
      tile_.dy[place] *= silu(value_of(in_.z, first + t, channel));
    });
  }

  /// The state before every kReplay-th token of the tile, from the one before its first.
  __device__ __forceinline__ void keep_replays(int count) {
    state_.keep(tile_.before[0]);
    if (Tile::kReplay >= count) return;
    for (int t = 0; t < Tile::kReplay; ++t) advance(t);
    state_.keep(tile_.before[Tile::kTokens / Tile::kReplay - 1]);
  }

  /// S_t from S_{t-1}, of the staged token t.
  __device__ __forceinline__ void advance(int t) {
    const TokenStep step = tile_.steps[t];
    if (step.kind.padding || !live_) return;
    state_.clear_if(step.kind.begins);
    state_.advance(step.decay, step.delta, tile_.x + t * Shape::kChannels,
                   tile_.B + t * Shape::kWidth);
  }

  /// body(token, channel of the slice, place in a staged array), a thread always the same channel.
  template <typename Body>
  __device__ __forceinline__ void for_each_channel(int count, const Body& body) {
    const int channel = threadIdx.x % Shape::kChannels;
    if (channel >= head_.channels) return;
    for (int t = threadIdx.x / Shape::kChannels; t < count; t += Shape::kThreads / Shape::kChannels)
      body(t, channel, t * Shape::kChannels + channel);
  }
  __device__ __forceinline__ float value_of(const View<4>& view, int64_t token,
                                            int64_t channel) const {
    return to_f32(data_of<const T>(view)[head_.at(view, token, channel)]);
  }

  /// From decay_{t+1} G_{t+1} (in G_) to decay_t G_t.
  __device__ __forceinline__ void back_token(int64_t first, int t) {
    const TokenStep step = tile_.steps[t];
    if (!step.kind.padding && live_) {
      const int kept = t / Tile::kReplay;
      state_.recall(tile_.before[kept]);
      for (int earlier = kept * Tile::kReplay; earlier < t; ++earlier) advance(earlier);
      state_.clear_if(step.kind.begins);
      back_step(t, step);
      G_.clear_if(step.kind.begins);
    }
    __syncthreads();
    sum_warps(first + t, step);
    parity_ ^= 1;
  }

  __device__ __forceinline__ void back_step(int t, const TokenStep& step) {
    float x[Shape::kRows], dy[Shape::kRows], GB[Shape::kRows] = {}, SC[Shape::kRows] = {};
    State::read_rows(tile_.x + t * Shape::kChannels, x);
    State::read_rows(tile_.dy + t * Shape::kChannels, dy);
    float both[2] = {};  // <x, G B> and <G, S_{t-1}>
#pragma unroll
    for (int q = 0; q < State::kQuads; ++q) {
      const int place = t * Shape::kWidth + State::state_of(q);
      float B[4], C[4], dB[4] = {}, dC[4] = {};
      State::split(*reinterpret_cast<const float4*>(tile_.B + place), B);
      State::split(*reinterpret_cast<const float4*>(tile_.C + place), C);
#pragma unroll
      for (int r = 0; r < Shape::kRows; ++r) {
        const float u = step.delta * x[r];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float& gradient = G_.s[r][4 * q + i];
          const float before = state_.s[r][4 * q + i];
          const float after = fmaf(step.decay, before, u * B[i]);
          gradient = fmaf(dy[r], C[i], gradient);
          GB[r] = fmaf(gradient, B[i], GB[r]);
          SC[r] = fmaf(after, C[i], SC[r]);
          dB[i] = fmaf(gradient, u, dB[i]);
          dC[i] = fmaf(after, dy[r], dC[i]);
          both[1] = fmaf(gradient, before, both[1]);
          gradient *= step.decay;
        }
      }
      put_columns(q, dB, dC);
    }
#pragma unroll
    for (int r = 0; r < Shape::kRows; ++r) both[0] = fmaf(x[r], GB[r], both[0]);
    put_rows(t, GB, SC);
    const float sum = sum_rows<32>(both);
    if (threadIdx.x % 16 == 0)
      tile_.sums[parity_][threadIdx.x / 32][2 * Shape::kWidth + threadIdx.x % 32 / 16] = sum;
  }

  __device__ __forceinline__ void put_rows(int t, float (&GB)[Shape::kRows],
                                           float (&SC)[Shape::kRows]) {
    const int place = t * Shape::kChannels + State::summed_row();
    const float row_GB = sum_rows<Shape::kLanes>(GB);
    if (State::keeps_sum()) tile_.GB[place] = row_GB;
    if (!given(in_.z)) return;
    const float row_SC = sum_rows<Shape::kLanes>(SC);
    if (State::keeps_sum()) tile_.SC[place] = row_SC;
  }

  /// Once for all: warps without channels never put anything there.
  __device__ __forceinline__ void clear_sums() {
    float* sums = &tile_.sums[0][0][0];
    for (int i = threadIdx.x; i < 2 * Shape::kWarps * Tile::kColumns; i += Shape::kThreads)
      sums[i] = 0;
  }

  /// This warp's part of dB and dC.
  __device__ __forceinline__ void put_columns(int q, float (&dB)[4], float (&dC)[4]) {
#pragma unroll
    for (int offset = Shape::kLanes; offset < 32; offset *= 2)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        dB[i] += __shfl_xor_sync(0xffffffffu, dB[i], offset);
        dC[i] += __shfl_xor_sync(0xffffffffu, dC[i], offset);
      }
    if (threadIdx.x % 32 >= Shape::kLanes) return;
    float* columns = tile_.sums[parity_][threadIdx.x / 32] + State::state_of(q);
    *reinterpret_cast<float4*>(columns) = {dB[0], dB[1], dB[2], dB[3]};
    *reinterpret_cast<float4*>(columns + Shape::kWidth) = {dC[0], dC[1], dC[2], dC[3]};
  }

  /// The sums of all warps, for the kernels behind; zeros at padding.
  __device__ __forceinline__ void sum_warps(int64_t token, const TokenStep& step) {
    const auto sum = [&](int column) {
      float2 sum{0, 0};
#pragma unroll
      for (int warp = 0; warp < Shape::kWarps; ++warp) {
        const float2 part = *reinterpret_cast<const float2*>(tile_.sums[parity_][warp] + column);
        sum.x += part.x, sum.y += part.y;
      }
      return step.kind.padding ? float2{0, 0} : sum;
    };
    if (BC_ != nullptr) {
      float* to = BC_ + token * tokens_apart_ * 2 * results_.BC_width;
#pragma unroll
      for (int first = 0; first < Shape::kWidth; first += Shape::kThreads) {
        const int column = 2 * (first + threadIdx.x);
        const int array = column / Shape::kWidth, n = column % Shape::kWidth;
        if (array < 2 && n < results_.BC_width)
          *reinterpret_cast<float2*>(to + array * results_.BC_width + n) = sum(column);
      }
    }
    if (threadIdx.x == Shape::kThreads - 1) {
      const float2 both = sum(2 * Shape::kWidth);
      scalars_[token * tokens_apart_] = {both.x, step.decay * both.y};
    }
  }

  __device__ __forceinline__ void write_gradients(int64_t first, int count) {
    for_each_channel(count, [&](int t, int64_t channel, int place) {
      const TokenStep step = tile_.steps[t];
      const int64_t token = first + t;
      float dx = 0, dz = 0;
      if (!step.kind.padding) {
        const float D = skip_weight(in_.D, head_.h, head_.first_channel + channel);
        const float x = tile_.x[place], dy = tile_.dy[place];
        dx = fmaf(step.delta, tile_.GB[place], D * dy);
        sum_D_ = fmaf(dy, x, sum_D_);
        if (given(grads_.grad_z))
          dz = value_of(grads_.grad_y, token, channel) * fmaf(D, x, tile_.SC[place]) *
               silu_slope(value_of(in_.z, token, channel));
      }
      const auto set = [&](const View<4>& view, float value) {
        if (given(view)) store_f32(view.data, view.dtype, head_.at(view, token, channel), value);
      };
      set(grads_.grad_x, dx);
      set(grads_.grad_z, dz);
    });
  }

  /// Threads that shared a channel.
  __device__ __forceinline__ void write_D() {
    float* sums = &tile_.sums[0][0][0];
    __syncthreads();
    sums[threadIdx.x] = sum_D_;
    __syncthreads();
    if (threadIdx.x >= Shape::kChannels || threadIdx.x >= head_.channels) return;
    float sum = 0;
    for (int i = threadIdx.x; i < Shape::kThreads; i += Shape::kChannels) sum += sums[i];
    results_.D[(head_.b * in_.x.size[2] + head_.h) * in_.x.size[3] + head_.first_channel +
               threadIdx.x] = sum;
  }

  const SsdInputs& in_;
  const SsdGradients& grads_;
  const WalkResults& results_;
  Tile& tile_;
  const HeadSlice head_;
  const HeadSteps steps_;
  const TokenRows<T> x_rows_, dy_rows_, B_rows_, C_rows_;
  float4* const kept_;
  const int tokens_apart_;  // places between tokens of BC and scalars
  float* const BC_;
  float2* const scalars_;
  const bool live_;  // this warp has channels
  State state_, G_;
  HeadSteps::Ahead step_ahead_{};
  RowsAhead<T, Tile::kTokens, Shape::kChannels, Shape::kThreads> x_ahead_, dy_ahead_;
  RowsAhead<T, Tile::kTokens, Shape::kWidth, Shape::kThreads> B_ahead_, C_ahead_;
  float sum_D_ = 0;
  int parity_ = 0;
};

}  // namespace adder::kernels::cuda
