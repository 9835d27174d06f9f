// What the kernels that walk token after token read beside the state: single elements of any dtype,
// the step of a token (as in ref/ssd_parts.h), and tiles of tokens, read ahead.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cstring>

#include "adder/kernels/cuda/device.h"

namespace adder::kernels::cuda {

// View's own functions are the host's.
template <int Rank>
__device__ bool given(const View<Rank>& view) {
  return view.data != nullptr;
}
template <typename T, int Rank>
__device__ T* data_of(const View<Rank>& view) {
  return static_cast<T*>(view.data);
}

inline __device__ float to_f32(float v) {
  return v;
}
inline __device__ float to_f32(__nv_bfloat16 v) {
  return __bfloat162float(v);
}
inline __device__ float load_f32(const void* data, DType dtype, int64_t i) {
  return dtype == DType::f32 ? static_cast<const float*>(data)[i]
                             : to_f32(static_cast<const __nv_bfloat16*>(data)[i]);
}
inline __device__ void store_f32(void* data, DType dtype, int64_t i, float value) {
  if (dtype == DType::f32)
    static_cast<float*>(data)[i] = value;
  else
    static_cast<__nv_bfloat16*>(data)[i] = __float2bfloat16(value);
}

inline __device__ float sigmoid(float x) {
  return 1.f / (1.f + expf(-x));
}
inline __device__ float silu(float x) {
  return x * sigmoid(x);
}
inline __device__ float silu_slope(float x) {
  const float s = sigmoid(x);
  return s * (1.f + x * (1.f - s));
}

/// D of head h, channel p; 0 where it is not given.
inline __device__ float skip_weight(const View<2>& D, int64_t h, int64_t p) {
  if (!given(D)) return 0;
  return data_of<float>(D)[h * D.stride[0] + (D.size[1] == 1 ? 0 : p * D.stride[1])];
}

/// Delta and its slope d Delta / d dt, zero where the limits hold it.
struct StepSize {
  float value, slope;
};

/// `args` is an SsdInputs or an SsdUpdate; raw = dt + dt_bias.
template <typename Args>
__device__ StepSize step_size(const Args& args, float raw) {
  const bool curved = args.dt_softplus && raw <= 20.f;
  const float delta = curved ? log1pf(expf(raw)) : raw;
  const auto low = static_cast<float>(fmax(args.dt_min, -double{FLT_MAX}));
  const auto high = static_cast<float>(fmin(args.dt_max, double{FLT_MAX}));
  const bool inside = low <= delta && delta <= high;
  const float slope = curved ? sigmoid(raw) : 1.f;
  // As std::clamp: a NaN stays one.
  return {delta < low ? low : high < delta ? high : delta, inside ? slope : 0.f};
}

/// Whether a token is padding, and whether the state is dropped before it.
struct TokenKind {
  bool padding, begins;
};
inline __device__ TokenKind kind_of(const View<2>& seq_idx, int64_t b, int64_t t) {
  if (!given(seq_idx)) return {false, false};
  const int32_t* id = data_of<int32_t>(seq_idx) + b * seq_idx.stride[0] + t * seq_idx.stride[1];
  const bool padding = *id < 0;
  return {padding, t > 0 && !padding && *id != *(id - seq_idx.stride[1])};
}

/// Which head, and which piece of its channels, a CTA of a grid of rows x heads x slices works on.
struct HeadSlice {
  int b, h, group, slice, first_channel, channels;

  __device__ HeadSlice(const SsdInputs& in, unsigned slices, int channels_a_slice,
                       int64_t first_row = 0) {
    const auto heads = static_cast<unsigned>(in.x.size[2]);
    const unsigned head = blockIdx.x / slices;
    slice = blockIdx.x % slices;
    h = head % heads;
    b = static_cast<int>(first_row + head / heads);
    group = head % heads / (heads / static_cast<unsigned>(in.B.size[2]));
    first_channel = slice * channels_a_slice;
    channels = static_cast<int>(std::min<int64_t>(channels_a_slice, in.x.size[3] - first_channel));
  }
  /// Of a dense (batch, heads, head_dim, state) array.
  __device__ float* state_in(const View<4>& view) const {
    return data_of<float>(view) +
           ((b * view.size[1] + h) * view.size[2] + first_channel) * view.size[3];
  }
  /// Channel `channel` of the slice in a (batch, length, heads, head_dim) array.
  __device__ int64_t at(const View<4>& view, int64_t token, int64_t channel) const {
    return b * view.stride[0] + token * view.stride[1] + h * view.stride[2] + first_channel +
           channel;
  }
};

// Tiles of tokens on their way from global to shared memory: read ahead into registers while the
// tile before is worked on, then put down as f32.

/// Four neighbours as they lie in memory.
template <typename T>
struct Quad;
template <>
struct Quad<float> {
  float4 v;
  __device__ __forceinline__ float4 wide() const { return v; }
};
template <>
struct Quad<__nv_bfloat16> {
  uint2 v;
  __device__ __forceinline__ float4 wide() const {
    return {__uint_as_float(v.x << 16), __uint_as_float(v.x & 0xffff0000u),
            __uint_as_float(v.y << 16), __uint_as_float(v.y & 0xffff0000u)};
  }
};

/// `width` elements of each token of a row; zeros behind them.
template <typename T>
struct TokenRows {
  const T* data;  // of token 0
  int64_t stride;
  int width;
  bool whole;  // can be read four at a time

  __device__ TokenRows(const View<4>& view, int64_t b, int64_t h, int64_t column, int64_t count)
      : data(data_of<const T>(view) + b * view.stride[0] + h * view.stride[2] + column),
        stride(view.stride[1]),
        width(static_cast<int>(count)),
        whole(reinterpret_cast<uintptr_t>(data) % sizeof(Quad<T>) == 0 && stride % 4 == 0 &&
              width % 4 == 0) {}

  __device__ __forceinline__ Quad<T> read(int64_t token, int column) const {
    const T* from = data + token * stride + column;
    Quad<T> quad{};
    if (whole) {
      if (column < width) quad = *reinterpret_cast<const Quad<T>*>(from);
    } else {
      T v[4] = {};
#pragma unroll
      for (int i = 0; i < 4; ++i)
        if (column + i < width) v[i] = from[i];
      memcpy(&quad, v, sizeof(quad));
    }
    return quad;
  }
};

/// A tile of kTokens x kColumns of such rows, in the registers of kThreads threads.
template <typename T, int kTokens, int kColumns, int kThreads>
struct RowsAhead {
  static constexpr int kRowQuads = kColumns / 4;
  static constexpr int kQuads = (kTokens * kRowQuads + kThreads - 1) / kThreads;

  Quad<T> quads[kQuads];

  __device__ __forceinline__ void load(const TokenRows<T>& from, int64_t first, int count) {
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const int i = q * kThreads + threadIdx.x, t = i / kRowQuads;
      if (t < count) quads[q] = from.read(first + t, i % kRowQuads * 4);
    }
  }
  /// `to` is (kTokens, kColumns).
  __device__ __forceinline__ void store(float* to) const {
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      const int i = q * kThreads + threadIdx.x;
      if (i < kTokens * kRowQuads) reinterpret_cast<float4*>(to)[i] = quads[q].wide();
    }
  }
};

/// A token as its step needs it.
struct TokenStep {
  float delta, decay;
  TokenKind kind;
};

/// One head's dt and documents, of a row.
class HeadSteps {
 public:
  __device__ HeadSteps(const SsdInputs& in, int64_t b, int64_t h)
      : in_(in),
        b_(static_cast<int>(b)),
        A_(data_of<float>(in.A)[h * in.A.stride[0]]),
        bias_(given(in.dt_bias) ? data_of<float>(in.dt_bias)[h * in.dt_bias.stride[0]] : 0.f),
        first_(b * in.dt.stride[0] + h * in.dt.stride[2]) {}

  /// dt + dt_bias and the kind of a token, before anything is computed of them.
  struct Ahead {
    float raw;
    TokenKind kind;
  };
  __device__ __forceinline__ Ahead load(int64_t t) const {
    const float dt = load_f32(in_.dt.data, in_.dt.dtype, first_ + t * in_.dt.stride[1]);
    return {dt + bias_, kind_of(in_.seq_idx, b_, t)};
  }
  __device__ __forceinline__ StepSize size(const Ahead& ahead) const {
    return ahead.kind.padding ? StepSize{0, 0} : step_size(in_, ahead.raw);
  }
  __device__ __forceinline__ TokenStep step(const Ahead& ahead) const {
    const float delta = size(ahead).value;
    return {delta, expf(delta * A_), ahead.kind};
  }
  __device__ float A() const { return A_; }

 private:
  const SsdInputs& in_;
  const int b_;
  const float A_, bias_;
  const int64_t first_;
};

}  // namespace adder::kernels::cuda
