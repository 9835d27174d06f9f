// The variants of gated_rms_norm.h, one for each instruction set.
#pragma once

#include "adder/kernels/dispatch.h"
#include "adder/kernels/gated_rms_norm.h"

namespace adder::kernels {

ADDER_DECLARE_VARIANTS(void gated_rms_norm(const GatedRmsNormInputs&, const View<2>&,
                                           const Parallel&));
ADDER_DECLARE_VARIANTS(void gated_rms_norm_backward(const GatedRmsNormInputs&,
                                                    const GatedRmsNormGradients&, const Parallel&));

}  // namespace adder::kernels
