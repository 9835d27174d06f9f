#include "adder/kernels/cpu/causal_conv1d.h"
#include "adder/kernels/cpu/conv_taps.h"

namespace adder::kernels::ADDER_ISA {
namespace {

constexpr int64_t kSumTokens =
    256;  // whose weight gradients are added up together; a multiple of kTile

/// A tile of one batch row: tokens [begin, end), channels [channel, channel + count).
struct Tile {
  int64_t b, begin, end, channel, count;
};

/// Gradients before the activation, and where those of the weights are added up.
struct Sums {
  float* grad_o;       // (kTile + history, kChannels): tokens from tile.begin on
  float* grad_weight;  // (width + 1, channels): by tap, then the bias
  int64_t channels;
};

/// grad_o = grad_y silu'(o) for the tile and the `history` tokens after it; weight gradients of the
/// tile.
template <int width, typename T>
void differentiate_outputs(const Conv1dInputs& in, const View<3>& grad_y, const TapWeights& weights,
                           const Tile& tile, const Sums& sums) {
  const int64_t length = in.x.size[1], halo = tile.end + width - 1;
  const InputRows<T> rows(in, tile.b, tile.channel, weights);
  const Documents documents(in.seq_idx, tile.b, length, width - 1);
  for (int64_t t = tile.begin; t < (halo < length ? halo : length); ++t) {
    float* to = sums.grad_o + (t - tile.begin) * kChannels;
    if (documents.padding(t)) continue;
    const T* taps[width];
    rows.window(t, documents.reach(t), taps);
    const T* from = row_of<const T>(grad_y, tile.b, t, tile.channel);
    for (int64_t c = 0; c < tile.count; c += kLanes) {
      const int64_t left = tile.count - c;
      vf g = load_up_to(from + c, left);
      if (in.silu) {
        g *= silu_slope(convolve<width>(taps, weights.rows, tile.channel, c, left));
      }
      store_up_to(to + c, g, left);
      if (t >= tile.end) continue;
      float* sum_of = sums.grad_weight + tile.channel + c;
      for (int w = 0; w < width; ++w, sum_of += sums.channels)
        store_up_to(sum_of, load_up_to(sum_of, left) + g * load_up_to(taps[w] + c, left), left);
      store_up_to(sum_of, load_up_to(sum_of, left) + g, left);
    }
  }
}

/// The gradient at time tau: of x, or of the initial state when tau < 0. It comes from the outputs
/// at tau ... tau + history of the same document, and from the final state (`grad_final`, may be
/// null).
template <int width, typename T>
void differentiate_input(const float* const* grad_o, const float* const* weights, const Tile& tile,
                         const T* grad_final, T* to) {
  for (int64_t c = 0; c < tile.count; c += kLanes) {
    const int64_t left = tile.count - c;
    vf total = grad_final == nullptr ? vf{} : load_up_to(grad_final + c, left);
    for (int j = 0; j < width; ++j)
      total += load_up_to(weights[width - 1 - j] + tile.channel + c, left) *
               load_up_to(grad_o[j] + c, left);
    store_up_to(to + c, total, left);
  }
}

template <int width, typename T>
void differentiate_inputs(const Conv1dInputs& in, const Conv1dGradients& grads,
                          const TapWeights& weights, const Tile& tile, const float* grad_o) {
  constexpr int history = width - 1;
  const int64_t length = in.x.size[1];
  const Documents documents(in.seq_idx, tile.b, length, history);
  const int64_t real_end = grads.grad_final_state.given() ? documents.end() : 0;
  for (int64_t tau = tile.begin == 0 ? -history : tile.begin; tau < tile.end; ++tau) {
    const View<3>& out = tau < 0 ? grads.grad_initial_state : grads.grad_x;
    if (!out.given()) continue;
    const float* sources[width];
    for (int j = 0; j < width; ++j) {
      const int64_t t = tau + j;
      const bool counts = t >= 0 && t < length && !documents.padding(t) && j <= documents.reach(t);
      sources[j] = counts ? grad_o + (t - tile.begin) * kChannels : weights.zeros;
    }
    const int64_t back = real_end - 1 - tau;  // tokens before the last real one
    const bool in_state = grads.grad_final_state.given() && back >= 0 && back < history &&
                          back <= documents.final_reach(real_end);
    const T* grad_final =
        in_state ? row_of<const T>(grads.grad_final_state, tile.b, history - 1 - back, tile.channel)
                 : nullptr;
    differentiate_input<width>(sources, weights.rows, tile, grad_final,
                               row_of<T>(out, tile.b, tau < 0 ? tau + history : tau, tile.channel));
  }
}

/// Adds the partial sums in order: (blocks, width + 1, channels) to weight and bias.
void add_partials(const float* partials, int64_t blocks, int64_t channels, int64_t width,
                  const Conv1dGradients& grads, const Parallel& parallel) {
  parallel.run(channels, 256, [&](int64_t begin, int64_t end) {
    for (int64_t w = 0; w <= width; ++w) {
      if (!(w < width ? grads.grad_weight.given() : grads.grad_bias.given())) continue;
      for (int64_t c = begin; c < end; ++c) {
        float total = 0;
        for (int64_t block = 0; block < blocks; ++block)
          total += partials[(block * (width + 1) + w) * channels + c];
        if (w < width)
          static_cast<float*>(grads.grad_weight.data)[c * grads.grad_weight.stride[0] +
                                                      w * grads.grad_weight.stride[1]] = total;
        else
          static_cast<float*>(grads.grad_bias.data)[c * grads.grad_bias.stride[0]] = total;
      }
    }
  });
}

template <int width, typename T>
void backward(const Conv1dInputs& in, const Conv1dGradients& grads, const Parallel& parallel) {
  const int64_t length = in.x.size[1], channels = in.x.size[2];
  const int64_t blocks_per_row = (length + kSumTokens - 1) / kSumTokens;
  const int64_t blocks = in.x.size[0] * blocks_per_row, partial = (width + 1) * channels;
  const TapWeights weights(in.weight, in.bias, channels);
  Scratch scratch(Scratch::bytes_for(blocks * partial));
  float* partials = scratch.floats(blocks * partial);
  parallel.run(blocks, 1, [&](int64_t first, int64_t last) {
    constexpr int64_t kGradients = (kTile + width - 1) * kChannels;
    Scratch own(Scratch::bytes_for(kGradients));
    float* grad_o = own.floats(kGradients);
    for (int64_t block = first; block < last; ++block) {
      const Sums sums{grad_o, partials + block * partial, channels};
      clear(sums.grad_weight, partial);
      const int64_t b = block / blocks_per_row, start = block % blocks_per_row * kSumTokens;
      for (int64_t begin = start; begin < length && begin < start + kSumTokens; begin += kTile) {
        for_channel_blocks(channels, [&](int64_t channel, int64_t count) {
          const Tile tile{b, begin, begin + kTile < length ? begin + kTile : length, channel,
                          count};
          differentiate_outputs<width, T>(in, grads.grad_y, weights, tile, sums);
          differentiate_inputs<width, T>(in, grads, weights, tile, grad_o);
        });
      }
    }
  });
  add_partials(partials, blocks, channels, width, grads, parallel);
}

}  // namespace

void causal_conv1d_backward(const Conv1dInputs& in, const Conv1dGradients& grads,
                            const Parallel& parallel) {
  with_width(in.weight.size[1], in.x.dtype, [&](auto width, auto element) {
    backward<decltype(width)::value, decltype(element)>(in, grads, parallel);
  });
}

}  // namespace adder::kernels::ADDER_ISA
