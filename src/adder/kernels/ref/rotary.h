// Plain loops for rotary.h: the oracle of its tests, and what double arrays run.
#pragma once

#include "adder/kernels/rotary.h"

namespace adder::kernels::ref {

/// T (float or double) is the type of the arithmetic, beside the angles; the view may hold any
/// dtype.
template <typename T>
void rotary(const RotaryArgs& args);

}  // namespace adder::kernels::ref
