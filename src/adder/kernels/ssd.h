// State-space duality: the selective scan of Mamba-2 with a scalar decay per head (Dao & Gu, arXiv
// 2405.21060, section 6; mamba-core 1.5).
//
//   Delta_t = clamp(softplus(dt_t + dt_bias), dt_min, dt_max)
//   S_t     = exp(Delta_t A) S_{t-1} + Delta_t x_t (outer) B_t            S in R^{head_dim x state}
//   y_t     = S_t C_t + D x_t,      times silu(z_t) when z is given
//
// Head h reads group floor(h / (heads / groups)) of B and C. seq_idx as in causal_conv1d.h: the
// state starts at zero where a document begins, the initial state belongs to the first token's
// document, the final state is the one after the row's last real token.
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

struct SsdInputs {
  View<4> x;        // (batch, length, heads, head_dim) f64|f32|bf16, last dimension contiguous
  View<3> dt;       // (batch, length, heads) f64|f32|bf16
  View<1> A;        // (heads) f64|f32, negative
  View<4> B, C;     // (batch, length, groups, state) dtype of x, last dimension contiguous
  View<2> D;        // (heads, head_dim) or (heads, 1) f64|f32, optional
  View<4> z;        // as x, optional
  View<1> dt_bias;  // (heads) f64|f32, optional
  View<4> initial_state;  // (batch, heads, head_dim, state) f64|f32, dense, optional
  View<2> seq_idx;        // (batch, length) i32, optional
  bool dt_softplus = true;
  double dt_min = 0, dt_max = 1e300;
  // A hint of how much to do at once; results agree to rounding for any value >= 1. On the CPU a
  // chunk is 64 tokens.
  int64_t chunk_size = 64;
};

struct SsdOutputs {
  View<4> y;            // as x
  View<4> final_state;  // (batch, heads, head_dim, state) f64|f32, dense, optional
};

/// Gradients; any output may be left out. Recomputes the forward: memory beyond the outputs is one
/// state per chunk of the heads being worked on, and one dB and dC for every few heads. Sums are
/// taken in a fixed order, whatever the number of threads.
struct SsdGradients {
  View<4> grad_y;            // in, as x
  View<4> grad_final_state;  // in, optional
  View<4> grad_x;
  View<3> grad_dt;
  View<1> grad_A;
  View<4> grad_B, grad_C;
  View<2> grad_D;
  View<4> grad_z;
  View<1> grad_dt_bias;
  View<4> grad_initial_state;
};

void ssd(const SsdInputs& in, const SsdOutputs& out, const Parallel& parallel);
void ssd_backward(const SsdInputs& in, const SsdGradients& grads, const Parallel& parallel);

/// One token (mamba-core 1.4, scalar decay per head); the state is updated in place.
struct SsdUpdate {
  View<4> state;          // (slots, heads, head_dim, state) f64|f32, dense
  View<3> x;              // (batch, heads, head_dim)
  View<2> dt;             // (batch, heads)
  View<1> A;              // (heads)
  View<3> B, C;           // (batch, groups, state)
  View<2> D;              // (heads, head_dim) or (heads, 1), optional
  View<3> z;              // as x, optional
  View<1> dt_bias;        // (heads), optional
  View<1> state_indices;  // (batch) i32, < 0: y = 0 and no state; optional: row b uses slot b
  View<3> y;              // as x
  bool dt_softplus = true;
  double dt_min = 0, dt_max = 1e300;
};
void ssd_update(const SsdUpdate& args, const Parallel& parallel);

}  // namespace adder::kernels
