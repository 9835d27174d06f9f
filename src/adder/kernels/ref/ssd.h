// Plain loops for ssd.h, token after token: the oracle of its tests, and what double tensors run.
#pragma once

#include "adder/kernels/ssd.h"

namespace adder::kernels::ref {

/// T (float or double) is the type of the arithmetic; the views may hold any dtype.
template <typename T>
void ssd(const SsdInputs& in, const SsdOutputs& out);
template <typename T>
void ssd_backward(const SsdInputs& in, const SsdGradients& grads);
template <typename T>
void ssd_update(const SsdUpdate& args);

}  // namespace adder::kernels::ref
