// ssd() on the device: which kernel does a call.
#include "adder/kernels/cuda/device.h"
#include "adder/kernels/cuda/functions.h"
#include "adder/kernels/cuda/ssd_kernels.h"

namespace adder::kernels::cuda {
namespace {

bool has_double(const SsdInputs& in, const SsdOutputs& out) {
  return any_double(in.x, in.dt, in.A, in.B, in.C, in.D, in.z, in.dt_bias, in.initial_state, out.y,
                    out.final_state);
}

}  // namespace

DeviceAnswer ssd(const SsdInputs& in, const SsdOutputs& out, const DeviceWork& work) {
  if (has_double(in, out)) return "ssd: f64 is not taken on the device";
  if (in.x.dtype != in.B.dtype || in.x.dtype != in.C.dtype || in.x.dtype != out.y.dtype)
    return "ssd: x, B, C and y differ in dtype";
  if (in.x.size[0] == 0 || in.x.size[1] == 0 || in.x.size[2] == 0) return nullptr;
  if (takes_sm90(in, out)) return ssd_forward_sm90(in, out, work);
  if (takes_mma(in, out)) return ssd_forward_mma(in, out, work);
  return ssd_forward_generic(in, out, work);
}

}  // namespace adder::kernels::cuda
