// The vectorised variants behind selective_scan.h. Element types: u, B, C, z, y and delta are f32
// or bf16; all else is f32.
#pragma once

#include "adder/kernels/dispatch.h"
#include "adder/kernels/selective_scan.h"

namespace adder::kernels {

ADDER_DECLARE_VARIANTS(void selective_scan(const SelectiveScanInputs& in,
                                           const SelectiveScanOutputs& out,
                                           const Parallel& parallel));
ADDER_DECLARE_VARIANTS(void selective_scan_backward(const SelectiveScanInputs& in,
                                                    const SelectiveScanGradients& grads,
                                                    const Parallel& parallel));
ADDER_DECLARE_VARIANTS(void selective_scan_update(const SelectiveScanUpdate& args,
                                                  const Parallel& parallel));

}  // namespace adder::kernels
