#include "adder/kernels/rms_norm.h"

#include "adder/kernels/cpu/rms_norm.h"
#include "adder/kernels/ref/rms_norm.h"

namespace adder::kernels {

void rms_norm(const RmsNormInputs& in, const RmsNormOutputs& out, const Parallel& parallel) {
  in.x.dtype == DType::f64 ? ref::rms_norm<double>(in, out)
                           : ADDER_VARIANT(rms_norm)(in, out, parallel);
}

void rms_norm_backward(const RmsNormInputs& in, const RmsNormGradients& grads,
                       const Parallel& parallel) {
  grads.grad_y.dtype == DType::f64 ? ref::rms_norm_backward<double>(in, grads)
                                   : ADDER_VARIANT(rms_norm_backward)(in, grads, parallel);
}

}  // namespace adder::kernels
