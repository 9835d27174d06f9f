#include "adder/kernels/rms_norm.h"

#include "adder/kernels/ref/rms_norm.h"

namespace adder::kernels {

void rms_norm(const RmsNormInputs& in, const RmsNormOutputs& out, const Parallel&) {
  in.x.dtype == DType::f64 ? ref::rms_norm<double>(in, out) : ref::rms_norm<float>(in, out);
}

void rms_norm_backward(const RmsNormInputs& in, const RmsNormGradients& grads, const Parallel&) {
  in.x.dtype == DType::f64 ? ref::rms_norm_backward<double>(in, grads)
                           : ref::rms_norm_backward<float>(in, grads);
}

}  // namespace adder::kernels
