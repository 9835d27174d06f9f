// Causal depthwise convolution over time, with optional SiLU (Mamba, arXiv 2312.00752, section 3.4;
// mamba-core 1.1).
//
//   o[b,t,c] = bias[c] + sum_w weight[c,w] x~[b, t-(W-1)+w, c]        y = silu(o) or o
//
// x~ is x for times >= 0 and initial_state[b, tau + W-1, c] for tau in [-(W-1), -1] (zero when not
// given). seq_idx: a new document begins wherever the value differs from the token before; taps do
// not cross it; the initial state belongs to the first token's document; < 0 is padding: y = 0, no
// gradient, not in the state. final_state[b,j,c] holds the last W-1 inputs of the row's last
// document, zero (or initial state) before them.
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

struct Conv1dInputs {
  View<3> x;              // (batch, length, channels) f64|f32|bf16, channels contiguous
  View<2> weight;         // (channels, width) f64|f32, 1 <= width <= 8
  View<1> bias;           // (channels) f64|f32, optional
  View<3> initial_state;  // (batch, width-1, channels) dtype of x, optional
  View<2> seq_idx;        // (batch, length) i32, optional
  bool silu = false;
};

struct Conv1dOutputs {
  View<3> y;            // as x
  View<3> final_state;  // (batch, width-1, channels) dtype of x, optional
};

/// Gradients; any of the outputs may be left out. Sums over batch and time are taken in a fixed
/// order.
struct Conv1dGradients {
  View<3> grad_y;            // in
  View<3> grad_final_state;  // in, optional
  View<3> grad_x;
  View<2> grad_weight;
  View<1> grad_bias;
  View<3> grad_initial_state;
};

void causal_conv1d(const Conv1dInputs& in, const Conv1dOutputs& out, const Parallel& parallel);
void causal_conv1d_backward(const Conv1dInputs& in, const Conv1dGradients& grads,
                            const Parallel& parallel);

/// One token: shifts x into `state` and convolves.
struct Conv1dUpdate {
  View<3> state;          // (slots, width-1, channels) dtype of x, changed in place
  View<2> x;              // (batch, channels)
  View<2> weight;         // (channels, width)
  View<1> bias;           // (channels), optional
  View<1> state_indices;  // (batch) i32: slot of each row, < 0: y = 0 and no state; optional: row b
                          // uses slot b
  View<2> y;              // (batch, channels)
  bool silu = false;
};
void causal_conv1d_update(const Conv1dUpdate& args, const Parallel& parallel);

}  // namespace adder::kernels
