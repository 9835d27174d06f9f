// What the forward, backward and update of the causal convolution share: where the rows of a window
// lie, and the convolution of one vector of channels. Document boundaries, initial states and
// padding all become a choice of row pointers, with a row of zeros for what does not count.
#pragma once

#include "adder/kernels/causal_conv1d.h"
#include "adder/kernels/cpu/rows.h"

namespace adder::kernels::ADDER_ISA {

inline constexpr int kMaxWidth = 8;

/// Document boundaries of one batch row.
struct Documents {
  const int32_t* seq_idx;  // null: one document
  int64_t stride, length;
  int history;  // width - 1

  Documents(const View<2>& view, int64_t b, int64_t length, int history)
      : seq_idx(view.given() ? static_cast<const int32_t*>(view.data) + b * view.stride[0]
                             : nullptr),
        stride(view.stride[1]),
        length(length),
        history(history) {}

  int32_t id(int64_t t) const { return seq_idx == nullptr ? 0 : seq_idx[t * stride]; }
  bool padding(int64_t t) const { return id(t) < 0; }
  /// How many of the `history` tokens before t belong to its document; those before time 0 belong
  /// to the first.
  int reach(int64_t t) const {
    for (int k = 0; k < history && t - k > 0; ++k)
      if (id(t - k) != id(t - k - 1)) return k;
    return history;
  }
  /// One past the last real token, 0 when there is none.
  int64_t end() const {
    int64_t t = length;
    while (t > 0 && padding(t - 1)) --t;
    return t;
  }
  /// reach() of the last real token; without one the state is the initial state.
  int final_reach(int64_t end) const { return end > 0 ? reach(end - 1) : history; }
};

/// (channels, 4) to four rows of channels, in a form that the compiler turns into shuffles: a step
/// of decoding spends as long here as in the convolution.
inline void split_four(const float* __restrict from, int64_t channels, float* __restrict a,
                       float* __restrict b, float* __restrict c, float* __restrict d) {
  for (int64_t i = 0; i < channels; ++i) {
    a[i] = from[4 * i];
    b[i] = from[4 * i + 1];
    c[i] = from[4 * i + 2];
    d[i] = from[4 * i + 3];
  }
}

/// The weights by tap, then the bias (zeros if not given), then zeros: width + 2 rows of all
/// channels, so that neighbouring channels lie beside each other.
struct TapWeights {
  TapWeights(const View<2>& weight, const View<1>& bias, int64_t channels)
      : scratch((kMaxWidth + 2) * Scratch::bytes_for(channels)) {
    const int width = static_cast<int>(weight.size[1]);
    const float* from = static_cast<const float*>(weight.data);
    for (int w = 0; w < width; ++w) rows[w] = scratch.floats(channels);
    if (width == 4 && weight.stride[0] == 4 && weight.stride[1] == 1) {
      split_four(from, channels, rows[0], rows[1], rows[2], rows[3]);
    } else {
      for (int w = 0; w < width; ++w)
        for (int64_t c = 0; c < channels; ++c)
          rows[w][c] = from[c * weight.stride[0] + w * weight.stride[1]];
    }
    rows[width] = scratch.floats(channels);
    zeros = scratch.floats(channels);
    for (int64_t c = 0; c < channels; ++c) {
      zeros[c] = 0;
      rows[width][c] =
          bias.given() ? static_cast<const float*>(bias.data)[c * bias.stride[0]] : 0.0f;
    }
  }
  Scratch scratch;
  float* rows[kMaxWidth + 1];
  float* zeros;
};

/// Rows of x, of the initial state before it, and of zeros, for one batch row from channel
/// `channel` on.
template <typename T>
struct InputRows {
  const T *x, *initial, *zeros;
  int64_t x_stride, initial_stride;
  int history;

  InputRows(const Conv1dInputs& in, int64_t b, int64_t channel, const TapWeights& weights)
      : x(static_cast<const T*>(in.x.data) + b * in.x.stride[0] + channel),
        initial(in.initial_state.given() ? static_cast<const T*>(in.initial_state.data) +
                                               b * in.initial_state.stride[0] + channel
                                         : nullptr),
        zeros(reinterpret_cast<const T*>(weights.zeros)),
        x_stride(in.x.stride[1]),
        initial_stride(in.initial_state.stride[1]),
        history(static_cast<int>(in.weight.size[1]) - 1) {}

  const T* at(int64_t tau) const {
    if (tau >= 0) return x + tau * x_stride;
    return initial == nullptr ? zeros : initial + (tau + history) * initial_stride;
  }
  /// The rows under the taps for token t, oldest first.
  void window(int64_t t, int reach, const T** taps) const {
    for (int w = 0; w <= history; ++w) taps[w] = history - w <= reach ? at(t - history + w) : zeros;
  }
};

template <typename T>
ADDER_INLINE T* row_of(const View<3>& view, int64_t b, int64_t t, int64_t channel) {
  return static_cast<T*>(view.data) + b * view.stride[0] + t * view.stride[1] + channel;
}

template <typename T>
ADDER_INLINE void clear(T* to, int64_t count) {
  for (int64_t c = 0; c < count; ++c) to[c] = T{};
}

/// One vector of channels: bias + sum over taps, oldest first. `weights` begin at the channel of
/// the taps.
template <int width, typename T>
ADDER_INLINE vf convolve(const T* const* taps, const float* const* weights, int64_t channel,
                         int64_t c, int64_t left) {
  vf total = load_up_to(weights[width] + channel + c, left);
  for (int w = 0; w < width; ++w)
    total += load_up_to(weights[w] + channel + c, left) * load_up_to(taps[w] + c, left);
  return total;
}

template <int w>
struct Width {
  static constexpr int value = w;
};

/// Calls body(Width<width>{}, float{} or bf16{}).
template <typename Body>
ADDER_INLINE void with_width(int64_t width, DType dtype, const Body& body) {
  const auto call = [&](auto constant) {
    dtype == DType::bf16 ? body(constant, bf16{}) : body(constant, 0.0f);
  };
  switch (width) {
    case 1:
      return call(Width<1>{});
    case 2:
      return call(Width<2>{});
    case 3:
      return call(Width<3>{});
    case 4:
      return call(Width<4>{});
    case 5:
      return call(Width<5>{});
    case 6:
      return call(Width<6>{});
    case 7:
      return call(Width<7>{});
    default:
      return call(Width<8>{});
  }
}

inline constexpr int64_t kTile = 64;       // tokens done together
inline constexpr int64_t kChannels = 256;  // whose weights and window stay in the first-level cache

/// Calls body(channel, count) for the blocks of at most kChannels channels.
template <typename Body>
ADDER_INLINE void for_channel_blocks(int64_t channels, const Body& body) {
  for (int64_t channel = 0; channel < channels; channel += kChannels)
    body(channel, channels - channel < kChannels ? channels - channel : kChannels);
}

}  // namespace adder::kernels::ADDER_ISA
