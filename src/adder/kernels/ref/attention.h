// Plain loops for attention.h: the oracle of its tests, and what double arrays run.
#pragma once

#include "adder/kernels/attention.h"

namespace adder::kernels::ref {

/// T (float or double) is the type of the arithmetic; the views may hold any dtype.
template <typename T>
void attention(const AttentionInputs& in, const View<3>& y);

}  // namespace adder::kernels::ref
