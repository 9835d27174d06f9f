#include "adder/kernels/gated_rms_norm.h"

#include "adder/kernels/cpu/gated_rms_norm.h"
#include "adder/kernels/ref/gated_rms_norm.h"

namespace adder::kernels {

void gated_rms_norm(const GatedRmsNormInputs& in, const View<2>& y, const Parallel& parallel) {
  in.x.dtype == DType::f64 ? ref::gated_rms_norm<double>(in, y)
                           : ADDER_VARIANT(gated_rms_norm)(in, y, parallel);
}

void gated_rms_norm_backward(const GatedRmsNormInputs& in, const GatedRmsNormGradients& grads,
                             const Parallel& parallel) {
  in.x.dtype == DType::f64 ? ref::gated_rms_norm_backward<double>(in, grads)
                           : ADDER_VARIANT(gated_rms_norm_backward)(in, grads, parallel);
}

}  // namespace adder::kernels
