#include "adder/kernels/cpu/causal_conv1d.h"

#include "adder/kernels/cpu/conv_taps.h"

namespace adder::kernels::ADDER_ISA {
namespace {

/// Tokens [begin, end) of row b, channels [channel, channel + count).
template <int width, typename T>
void forward_tile(const Conv1dInputs& in, const View<3>& y, const TapWeights& weights, int64_t b,
                  int64_t begin, int64_t end, int64_t channel, int64_t count) {
  const InputRows<T> rows(in, b, channel, weights);
  const Documents documents(in.seq_idx, b, in.x.size[1], width - 1);
  for (int64_t t = begin; t < end; ++t) {
    T* to = row_of<T>(y, b, t, channel);
    if (documents.padding(t)) {
      clear(to, count);
      continue;
    }
    const T* taps[width];
    rows.window(t, documents.reach(t), taps);
    for (int64_t c = 0; c < count; c += kLanes) {
      const vf o = convolve<width>(taps, weights.rows, channel, c, count - c);
      store_up_to(to + c, in.silu ? silu(o) : o, count - c);
    }
  }
}

/// The last width - 1 inputs of the row's last document.
template <typename T>
void write_final_state(const Conv1dInputs& in, const View<3>& to, const TapWeights& weights,
                       int64_t b) {
  const InputRows<T> rows(in, b, 0, weights);
  const Documents documents(in.seq_idx, b, in.x.size[1], rows.history);
  const int64_t end = documents.end();
  for (int j = 0; j < rows.history; ++j) {
    const int back = rows.history - 1 - j;  // tokens before the last one
    const T* from = back <= documents.final_reach(end) ? rows.at(end - 1 - back) : rows.zeros;
    T* state = row_of<T>(to, b, j, 0);
    for (int64_t c = 0; c < to.size[2]; ++c) state[c] = from[c];
  }
}

template <int width, typename T>
void forward(const Conv1dInputs& in, const Conv1dOutputs& out, const Parallel& parallel) {
  const int64_t length = in.x.size[1], channels = in.x.size[2];
  const int64_t tiles = (length + kTile - 1) / kTile;
  const TapWeights weights(in.weight, in.bias, channels);
  parallel.run(in.x.size[0] * tiles, 1 + 256 / (channels + 1), [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      const int64_t b = i / tiles, begin = i % tiles * kTile;
      const int64_t end = begin + kTile < length ? begin + kTile : length;
      for_channel_blocks(channels, [&](int64_t channel, int64_t count) {
        forward_tile<width, T>(in, out.y, weights, b, begin, end, channel, count);
      });
      if (out.final_state.given() && end == length)
        write_final_state<T>(in, out.final_state, weights, b);
    }
  });
}

/// Row b's window is its state and x; the state moves on by one token. `state` is null for padding.
template <int width, typename T>
void update_row(const Conv1dUpdate& args, const TapWeights& weights, int64_t b, T* state) {
  const int64_t channels = args.x.size[1];
  T* y = at<T>(args.y, b);
  if (state == nullptr) return clear(y, channels);
  T* taps[width];
  for (int w = 0; w + 1 < width; ++w) taps[w] = state + w * args.state.stride[1];
  taps[width - 1] = at<T>(args.x, b);
  for (int64_t c = 0; c < channels; c += kLanes) {
    const int64_t left = channels - c;
    const vf o = convolve<width, T>(taps, weights.rows, 0, c, left);
    for (int w = 0; w + 1 < width; ++w)
      store_up_to(taps[w] + c, load_up_to(taps[w + 1] + c, left), left);
    store_up_to(y + c, args.silu ? silu(o) : o, left);
  }
}

template <int width, typename T>
void update(const Conv1dUpdate& args, const Parallel& parallel) {
  const int64_t channels = args.x.size[1];
  const TapWeights weights(args.weight, args.bias, channels);
  const auto* indices = static_cast<const int32_t*>(args.state_indices.data);
  parallel.run(args.x.size[0], 1 + 16384 / (channels + 1), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const int64_t slot = indices == nullptr ? b : indices[b * args.state_indices.stride[0]];
      T* state =
          slot < 0 ? nullptr : static_cast<T*>(args.state.data) + slot * args.state.stride[0];
      update_row<width>(args, weights, b, state);
    }
  });
}

}  // namespace

void causal_conv1d(const Conv1dInputs& in, const Conv1dOutputs& out, const Parallel& parallel) {
  with_width(in.weight.size[1], in.x.dtype, [&](auto width, auto element) {
    forward<decltype(width)::value, decltype(element)>(in, out, parallel);
  });
}

void causal_conv1d_update(const Conv1dUpdate& args, const Parallel& parallel) {
  with_width(args.weight.size[1], args.x.dtype, [&](auto width, auto element) {
    update<decltype(width)::value, decltype(element)>(args, parallel);
  });
}

}  // namespace adder::kernels::ADDER_ISA
