// The selective scan of Mamba-1, "S6": every channel has a decay of its own for each state (Gu and
// Dao, arXiv 2312.00752, section 3; mamba-core 1.3).
//
//   Delta_t = softplus(delta_t + delta_bias)               or the plain sum
//   h_t,n   = exp(Delta_t A_n) h_t-1,n + Delta_t u_t B_t,n
//   y_t     = sum_n C_t,n h_t,n + D u_t,                   times silu(z_t) when z is given
//
// Channel c reads group floor(c / (channels / groups)) of B and C. seq_idx as in causal_conv1d.h:
// the state starts at zero where a document begins, the initial state belongs to the first token's
// document, the final state is the one after the row's last real token.
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

struct SelectiveScanInputs {
  View<3> u;              // (batch, length, channels) f64|f32|bf16, last dimension contiguous
  View<3> delta;          // as u, of its own dtype
  View<2> A;              // (channels, state) f64|f32, dense
  View<4> B, C;           // (batch, length, groups, state) dtype of u, last dimension contiguous
  View<1> D;              // (channels) f64|f32, dense, optional
  View<3> z;              // as u, optional
  View<1> delta_bias;     // (channels) f64|f32, dense, optional
  View<3> initial_state;  // (batch, channels, state) f64|f32, dense, optional
  View<2> seq_idx;        // (batch, length) i32, optional
  bool delta_softplus = true;
};

struct SelectiveScanOutputs {
  View<3> y;           // as u
  View<3> last_state;  // (batch, channels, state) f64|f32, dense, optional
};

/// Gradients; any output may be left out. Recomputes the forward: memory beyond the outputs is one
/// state per tile of tokens for the channels being worked on, and one dB and dC for every few
/// channels. Sums are taken in a fixed order, whatever the number of threads.
struct SelectiveScanGradients {
  View<3> grad_y;           // in, as u
  View<3> grad_last_state;  // in, as last_state, optional
  View<3> grad_u, grad_delta;
  View<2> grad_A;
  View<4> grad_B, grad_C;
  View<1> grad_D;
  View<3> grad_z;
  View<1> grad_delta_bias;
  View<3> grad_initial_state;
};

void selective_scan(const SelectiveScanInputs& in, const SelectiveScanOutputs& out,
                    const Parallel& parallel);
void selective_scan_backward(const SelectiveScanInputs& in, const SelectiveScanGradients& grads,
                             const Parallel& parallel);

/// One token (mamba-core 1.4); the state is updated in place.
struct SelectiveScanUpdate {
  View<3> state;          // (slots, channels, state) f64|f32, dense
  View<2> u, delta;       // (batch, channels), last dimension contiguous
  View<2> A;              // (channels, state) f64|f32, dense
  View<3> B, C;           // (batch, groups, state), last dimension contiguous
  View<1> D;              // (channels), optional
  View<2> z;              // as u, optional
  View<1> delta_bias;     // (channels), optional
  View<1> state_indices;  // (batch) i32, < 0: y = 0 and no state; optional: row b uses slot b
  View<2> y;              // as u
  bool delta_softplus = true;
};
void selective_scan_update(const SelectiveScanUpdate& args, const Parallel& parallel);

}  // namespace adder::kernels
