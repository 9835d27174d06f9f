// RMS norm with a SiLU gate before or after it, in groups of channels (Mamba-2's output norm;
// mamba-core 1.6).
//
//   norm_before_gate false:  y = weight * rms(x * silu(z))
//   norm_before_gate true:   y = weight * rms(x) * silu(z)
//   rms(v)_i = v_i (mean over i's group of v^2 + eps)^(-1/2),   groups of `group_size` neighbouring
//   channels
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

struct GatedRmsNormInputs {
  View<2> x;       // (rows, width) f64|f32|bf16, width contiguous
  View<1> weight;  // (width) f64|f32
  View<2> z;       // as x, optional
  double eps = 1e-5;
  int64_t group_size = 0;  // divides width
  bool norm_before_gate = false;
};

struct GatedRmsNormGradients {
  View<2> grad_y;  // in, dtype of x
  View<2> grad_x;
  View<1> grad_weight;
  View<2> grad_z;
  View<2> normed;  // y once more, dtype of x; optional
};

void gated_rms_norm(const GatedRmsNormInputs& in, const View<2>& y, const Parallel& parallel);
void gated_rms_norm_backward(const GatedRmsNormInputs& in, const GatedRmsNormGradients& grads,
                             const Parallel& parallel);

}  // namespace adder::kernels
