// The variants of mlp_activation.h, one for each instruction set.
#pragma once

#include "adder/kernels/dispatch.h"
#include "adder/kernels/mlp_activation.h"

namespace adder::kernels {

ADDER_DECLARE_VARIANTS(void swiglu(const View<2>&, const View<2>&, const View<2>&,
                                   const Parallel&));
ADDER_DECLARE_VARIANTS(void gelu(const View<2>&, const View<2>&, const Parallel&));

}  // namespace adder::kernels
