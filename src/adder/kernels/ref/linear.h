// Plain loops for linear.h: the oracle of its tests.
#pragma once

#include "adder/kernels/linear.h"

namespace adder::kernels::ref {

/// T (float or double) is the type of the arithmetic; the views may hold any dtype.
template <typename T>
void linear(const View<2>& x, const View<2>& weight, const View<1>& bias, const View<2>& y);

}  // namespace adder::kernels::ref
