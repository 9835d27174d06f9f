// The variants of rms_norm.h, one for each instruction set.
#pragma once

#include "adder/kernels/dispatch.h"
#include "adder/kernels/rms_norm.h"

namespace adder::kernels {

ADDER_DECLARE_VARIANTS(void rms_norm(const RmsNormInputs&, const RmsNormOutputs&, const Parallel&));
ADDER_DECLARE_VARIANTS(void rms_norm_backward(const RmsNormInputs&, const RmsNormGradients&,
                                              const Parallel&));

}  // namespace adder::kernels
