// The variants of causal_conv1d.h, one for each instruction set.
#pragma once

#include "adder/kernels/causal_conv1d.h"
#include "adder/kernels/dispatch.h"

namespace adder::kernels {

ADDER_DECLARE_VARIANTS(void causal_conv1d(const Conv1dInputs&, const Conv1dOutputs&,
                                          const Parallel&));
ADDER_DECLARE_VARIANTS(void causal_conv1d_backward(const Conv1dInputs&, const Conv1dGradients&,
                                                   const Parallel&));
ADDER_DECLARE_VARIANTS(void causal_conv1d_update(const Conv1dUpdate&, const Parallel&));

}  // namespace adder::kernels
