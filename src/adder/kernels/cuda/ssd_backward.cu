// Which kernels take a call of ssd_backward().
#include "adder/kernels/cuda/device.h"
#include "adder/kernels/cuda/functions.h"
#include "adder/kernels/cuda/ssd_kernels.h"

namespace adder::kernels::cuda {

DeviceAnswer ssd_backward(const SsdInputs& in, const SsdGradients& grads, const DeviceWork& work) {
  return takes_backward_mma(in, grads) ? ssd_backward_mma(in, grads, work)
                                       : ssd_backward_generic(in, grads, work);
}

}  // namespace adder::kernels::cuda
