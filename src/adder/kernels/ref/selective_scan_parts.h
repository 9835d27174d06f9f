// What the forward and the backward loops of ref/selective_scan*.cpp share: the step size,
// documents, one step of the states of one channel.
#pragma once

#include <algorithm>
#include <vector>

#include "adder/kernels/ref/element.h"
#include "adder/kernels/selective_scan.h"

namespace adder::kernels::ref {

/// Delta of raw = delta + delta_bias.
template <typename T>
T scan_step(bool softplus, T raw) {
  return softplus && raw <= 20 ? std::log1p(std::exp(raw)) : raw;
}

/// d Delta / d raw.
template <typename T>
T scan_step_slope(bool softplus, T raw) {
  return softplus && raw <= 20 ? sigmoid(raw) : T(1);
}

/// delta + delta_bias.
template <typename T>
T raw_step(const SelectiveScanInputs& in, int64_t b, int64_t t, int64_t c) {
  return get<T>(in.delta, b, t, c) + (in.delta_bias.given() ? get<T>(in.delta_bias, c) : T(0));
}

inline bool is_padding(const SelectiveScanInputs& in, int64_t b, int64_t t) {
  return in.seq_idx.given() && get<int64_t>(in.seq_idx, b, t) < 0;
}

/// Whether the state is dropped before token t. Never at t = 0: the initial state belongs to its
/// document.
inline bool begins_document(const SelectiveScanInputs& in, int64_t b, int64_t t) {
  return in.seq_idx.given() && t > 0 && !is_padding(in, b, t) &&
         get<int64_t>(in.seq_idx, b, t) != get<int64_t>(in.seq_idx, b, t - 1);
}

inline int64_t group_of(const SelectiveScanInputs& in, int64_t c) {
  return c / (in.u.size[2] / in.B.size[2]);
}

/// h_t from h_{t-1}, in place; (state). Padding leaves it as it is.
template <typename T>
void step_state(const SelectiveScanInputs& in, int64_t b, int64_t t, int64_t c,
                std::vector<T>& state) {
  if (is_padding(in, b, t)) return;
  if (begins_document(in, b, t)) std::fill(state.begin(), state.end(), T(0));
  const T delta = scan_step(in.delta_softplus, raw_step<T>(in, b, t, c));
  const T input = delta * get<T>(in.u, b, t, c);
  for (int64_t n = 0; n < in.A.size[1]; ++n)
    state[n] = std::exp(delta * get<T>(in.A, c, n)) * state[n] +
               input * get<T>(in.B, b, t, group_of(in, c), n);
}

/// The state before token 0.
template <typename T>
std::vector<T> first_state(const SelectiveScanInputs& in, int64_t b, int64_t c) {
  std::vector<T> state(in.A.size[1], T(0));
  for (int64_t n = 0; n < in.A.size[1] && in.initial_state.given(); ++n)
    state[n] = get<T>(in.initial_state, b, c, n);
  return state;
}

/// y before the gate: C_t . h_t + D u_t.
template <typename T>
T ungated(const SelectiveScanInputs& in, int64_t b, int64_t t, int64_t c,
          const std::vector<T>& state) {
  T y = in.D.given() ? get<T>(in.D, c) * get<T>(in.u, b, t, c) : T(0);
  for (int64_t n = 0; n < in.A.size[1]; ++n) y += state[n] * get<T>(in.C, b, t, group_of(in, c), n);
  return y;
}

}  // namespace adder::kernels::ref
