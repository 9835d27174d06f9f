// Plain loops for rms_norm.h: the oracle of its tests, and what double tensors run.
#pragma once

#include "adder/kernels/rms_norm.h"

namespace adder::kernels::ref {

/// T (float or double) is the type of the arithmetic; the views may hold any dtype.
template <typename T>
void rms_norm(const RmsNormInputs& in, const RmsNormOutputs& out);
template <typename T>
void rms_norm_backward(const RmsNormInputs& in, const RmsNormGradients& grads);

}  // namespace adder::kernels::ref
