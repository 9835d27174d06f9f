// Plain loops for causal_conv1d.h: the oracle of its tests, and what double tensors run.
#pragma once

#include "adder/kernels/causal_conv1d.h"

namespace adder::kernels::ref {

/// T (float or double) is the type of the arithmetic; the views may hold any dtype.
template <typename T>
void causal_conv1d(const Conv1dInputs& in, const Conv1dOutputs& out);
template <typename T>
void causal_conv1d_backward(const Conv1dInputs& in, const Conv1dGradients& grads);
template <typename T>
void causal_conv1d_update(const Conv1dUpdate& args);

}  // namespace adder::kernels::ref
