// Root-mean-square norm with an optional residual added first (Zhang & Sennrich, arXiv 1910.07467;
// mamba-core 1.7).
//
//   r = x + residual        y = r * (mean(r^2) + eps)^(-1/2) * weight
//
// Statistics in f32 (f64 for f64 inputs). The backward pass needs no more of x and residual than
// their sum: it may be given r as the residual, without x.
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

struct RmsNormInputs {
  View<2> x;         // (rows, width) f64|f32|bf16, width contiguous; absent: see above
  View<1> weight;    // (width) f64|f32
  View<2> residual;  // (rows, width) f64|f32|bf16, optional
  double eps = 1e-5;
};

struct RmsNormOutputs {
  View<2> y;             // (rows, width) dtype of x; may be x itself
  View<2> new_residual;  // r, (rows, width); optional
};

struct RmsNormGradients {
  View<2> grad_y;             // in, dtype of x
  View<2> grad_new_residual;  // in, optional
  View<2> grad_x;             // dtype of x
  View<1> grad_weight;
  View<2> grad_residual;
};

void rms_norm(const RmsNormInputs& in, const RmsNormOutputs& out, const Parallel& parallel);
void rms_norm_backward(const RmsNormInputs& in, const RmsNormGradients& grads,
                       const Parallel& parallel);

}  // namespace adder::kernels
