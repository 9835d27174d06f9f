// Plain loops for mlp_activation.h: the oracle of its tests, and what double arrays run.
#pragma once

#include "adder/kernels/mlp_activation.h"

namespace adder::kernels::ref {

/// T (float or double) is the type of the arithmetic; the views may hold any dtype.
template <typename T>
void swiglu(const View<2>& up, const View<2>& gate, const View<2>& y);
template <typename T>
void gelu(const View<2>& x, const View<2>& y);

}  // namespace adder::kernels::ref
