// The variants of linear.h, one for each instruction set.
#pragma once

#include "adder/kernels/dispatch.h"
#include "adder/kernels/linear.h"

namespace adder::kernels {

ADDER_DECLARE_VARIANTS(void linear(const View<2>&, const View<2>&, const View<1>&, const View<2>&,
                                   const Parallel&));

}  // namespace adder::kernels
