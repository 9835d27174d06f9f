// The gate of SwiGLU (Shazeer, arXiv 2002.05202), y = up silu(gate), on a device. (On the CPU
// LibTorch's own functions do it: ops/swiglu.cpp.)
#pragma once

#include "adder/kernels/view.h"

namespace adder::kernels {

/// Both (rows, width) f32|bf16, each row dense. Rows of all views that begin at multiples of 16
/// bytes are the fast ones.
struct SwigluInputs {
  View<2> up, gate;
};

/// As up. grad_up = grad_y silu(gate), grad_gate = grad_y up silu'(gate); either is optional.
struct SwigluGradients {
  View<2> grad_y;
  View<2> grad_up, grad_gate;
};

}  // namespace adder::kernels
