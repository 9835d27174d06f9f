// What the forward and the backward loops of ref/ssd*.cpp share: the step size, documents, one step
// of a state.
#pragma once

#include <algorithm>
#include <vector>

#include "adder/kernels/ref/element.h"
#include "adder/kernels/ssd.h"

namespace adder::kernels::ref {

/// Delta and its slope d Delta / d dt, zero where the limits hold it.
template <typename T>
struct StepSize {
  T value, slope;
};

/// `args` is an SsdInputs or an SsdUpdate; raw = dt + dt_bias.
template <typename T, typename Args>
StepSize<T> step_size(const Args& args, T raw) {
  const bool curved = args.dt_softplus && raw <= 20;
  const T delta = curved ? std::log1p(std::exp(raw)) : raw;
  const bool inside = args.dt_min <= delta && delta <= args.dt_max;
  const double limited = std::clamp<double>(delta, args.dt_min, args.dt_max);
  return {static_cast<T>(limited), inside ? (curved ? sigmoid(raw) : T(1)) : T(0)};
}

template <typename T>
StepSize<T> step_size(const SsdInputs& in, int64_t b, int64_t t, int64_t h) {
  const T bias = in.dt_bias.given() ? get<T>(in.dt_bias, h) : T(0);
  return step_size<T>(in, get<T>(in.dt, b, t, h) + bias);
}

/// D of head h, channel p: D may be one number a head.
template <typename T>
T skip_weight(const View<2>& D, int64_t h, int64_t p) {
  return D.given() ? get<T>(D, h, D.size[1] == 1 ? 0 : p) : T(0);
}

inline bool is_padding(const SsdInputs& in, int64_t b, int64_t t) {
  return in.seq_idx.given() && get<int64_t>(in.seq_idx, b, t) < 0;
}

/// Whether the state is dropped before token t. Never at t = 0: the initial state belongs to its
/// document.
inline bool begins_document(const SsdInputs& in, int64_t b, int64_t t) {
  return in.seq_idx.given() && t > 0 && !is_padding(in, b, t) &&
         get<int64_t>(in.seq_idx, b, t) != get<int64_t>(in.seq_idx, b, t - 1);
}

/// S_t from S_{t-1}, in place; state is (head_dim, state). Padding leaves it as it is.
template <typename T>
void step_state(const SsdInputs& in, int64_t b, int64_t t, int64_t h, std::vector<T>& state) {
  if (is_padding(in, b, t)) return;
  if (begins_document(in, b, t)) std::fill(state.begin(), state.end(), T(0));
  const int64_t width = in.B.size[3], g = h / (in.x.size[2] / in.B.size[2]);
  const T delta = step_size<T>(in, b, t, h).value;
  const T decay = std::exp(delta * get<T>(in.A, h));
  for (int64_t p = 0; p < in.x.size[3]; ++p) {
    const T input = delta * get<T>(in.x, b, t, h, p);
    for (int64_t n = 0; n < width; ++n) {
      T& s = state[p * width + n];
      s = decay * s + input * get<T>(in.B, b, t, g, n);
    }
  }
}

/// The state before token 0, (head_dim, state).
template <typename T>
std::vector<T> first_state(const SsdInputs& in, int64_t b, int64_t h) {
  const int64_t head_dim = in.x.size[3], width = in.B.size[3];
  std::vector<T> state(head_dim * width, T(0));
  for (int64_t p = 0; p < head_dim && in.initial_state.given(); ++p)
    for (int64_t n = 0; n < width; ++n) state[p * width + n] = get<T>(in.initial_state, b, h, p, n);
  return state;
}

/// y before the gate: S_t C_t + D x_t, channel p.
template <typename T>
T ungated(const SsdInputs& in, int64_t b, int64_t t, int64_t h, int64_t p,
          const std::vector<T>& state) {
  const int64_t width = in.B.size[3], g = h / (in.x.size[2] / in.B.size[2]);
  T y = skip_weight<T>(in.D, h, p) * get<T>(in.x, b, t, h, p);
  for (int64_t n = 0; n < width; ++n) y += state[p * width + n] * get<T>(in.C, b, t, g, n);
  return y;
}

}  // namespace adder::kernels::ref
