// The variants of rotary.h, one for each instruction set.
#pragma once

#include "adder/kernels/dispatch.h"
#include "adder/kernels/rotary.h"

namespace adder::kernels {

ADDER_DECLARE_VARIANTS(void rotary(const RotaryArgs&, const Parallel&));

}  // namespace adder::kernels
