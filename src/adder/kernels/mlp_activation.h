// What stands between the two products of an MLP, on rows that may stand apart: the gated form
// (SwiGLU: Shazeer, arXiv 2002.05202) and the plain one (GELU, exact: Hendrycks & Gimpel, arXiv
// 1606.08415).
//
//   swiglu:  y = up silu(gate)        gelu:  y = x (1 + erf(x / sqrt 2)) / 2
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

/// All (rows, width) f64|f32 of one dtype, width contiguous. y may be `up` or `gate`.
void swiglu(const View<2>& up, const View<2>& gate, const View<2>& y, const Parallel& parallel);

/// The same; y may be x.
void gelu(const View<2>& x, const View<2>& y, const Parallel& parallel);

}  // namespace adder::kernels
