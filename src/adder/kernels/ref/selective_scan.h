// Plain loops for selective_scan.h, token after token: the oracle of its tests, and what double
// tensors run.
#pragma once

#include "adder/kernels/selective_scan.h"

namespace adder::kernels::ref {

/// T (float or double) is the type of the arithmetic; the views may hold any dtype.
template <typename T>
void selective_scan(const SelectiveScanInputs& in, const SelectiveScanOutputs& out);
template <typename T>
void selective_scan_backward(const SelectiveScanInputs& in, const SelectiveScanGradients& grads);
template <typename T>
void selective_scan_update(const SelectiveScanUpdate& args);

}  // namespace adder::kernels::ref
