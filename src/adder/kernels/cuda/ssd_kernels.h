// The kernels behind ssd() and ssd_backward() on the device. Each takes_ function says whether its
// kernel does the call (shape, dtypes, strides, alignment, device); the generic ones do any.
#pragma once

#include "adder/kernels/cuda_kernels.h"

namespace adder::kernels::cuda {

/// wgmma, compute capability 9.0; `segments` as below; `prefix`: in two parts instead, the first of
/// so many chunks (ssd_plan_sm90.h).
bool takes_sm90(const SsdInputs& in);
bool takes_sm90(const SsdInputs& in, const SsdOutputs& out);
DeviceAnswer ssd_forward_sm90(const SsdInputs& in, const SsdOutputs& out, const DeviceWork& work,
                              int64_t segments = 0, int64_t prefix = 0);

/// mma.sync, bf16, compute capability 8.0 on. `segments`: into how many to cut the sequence, 0 for
/// what should be fastest.
bool takes_mma(const SsdInputs& in, const SsdOutputs& out);
DeviceAnswer ssd_forward_mma(const SsdInputs& in, const SsdOutputs& out, const DeviceWork& work,
                             int64_t segments = 0);

DeviceAnswer ssd_forward_generic(const SsdInputs& in, const SsdOutputs& out,
                                 const DeviceWork& work);

bool takes_backward_mma(const SsdInputs& in, const SsdGradients& grads);
DeviceAnswer ssd_backward_mma(const SsdInputs& in, const SsdGradients& grads,
                              const DeviceWork& work);
DeviceAnswer ssd_backward_generic(const SsdInputs& in, const SsdGradients& grads,
                                  const DeviceWork& work);

}  // namespace adder::kernels::cuda
