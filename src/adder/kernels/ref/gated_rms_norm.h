// Plain loops for gated_rms_norm.h: the oracle of its tests, and what double tensors run.
#pragma once

#include "adder/kernels/gated_rms_norm.h"

namespace adder::kernels::ref {

/// T (float or double) is the type of the arithmetic; the views may hold any dtype.
template <typename T>
void gated_rms_norm(const GatedRmsNormInputs& in, const View<2>& y);
template <typename T>
void gated_rms_norm_backward(const GatedRmsNormInputs& in, const GatedRmsNormGradients& grads);

}  // namespace adder::kernels::ref
