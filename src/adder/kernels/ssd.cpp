#include "adder/kernels/ssd.h"

#include "adder/kernels/ref/ssd.h"

namespace adder::kernels {

void ssd(const SsdInputs& in, const SsdOutputs& out, const Parallel&) {
  in.x.dtype == DType::f64 ? ref::ssd<double>(in, out) : ref::ssd<float>(in, out);
}

void ssd_backward(const SsdInputs& in, const SsdGradients& grads, const Parallel&) {
  in.x.dtype == DType::f64 ? ref::ssd_backward<double>(in, grads)
                           : ref::ssd_backward<float>(in, grads);
}

void ssd_update(const SsdUpdate& args, const Parallel&) {
  args.x.dtype == DType::f64 ? ref::ssd_update<double>(args) : ref::ssd_update<float>(args);
}

}  // namespace adder::kernels
