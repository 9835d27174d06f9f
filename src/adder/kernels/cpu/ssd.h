// The vectorised variants behind ssd.h. Element types: x, B, C, z, y and dt are f32 or bf16; all
// else is f32.
#pragma once

#include "adder/kernels/dispatch.h"
#include "adder/kernels/ssd.h"

namespace adder::kernels {

ADDER_DECLARE_VARIANTS(void ssd(const SsdInputs& in, const SsdOutputs& out,
                                const Parallel& parallel));
ADDER_DECLARE_VARIANTS(void ssd_backward(const SsdInputs& in, const SsdGradients& grads,
                                         const Parallel& parallel));
ADDER_DECLARE_VARIANTS(void ssd_update(const SsdUpdate& args, const Parallel& parallel));

}  // namespace adder::kernels
