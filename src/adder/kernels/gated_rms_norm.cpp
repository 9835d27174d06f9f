#include "adder/kernels/gated_rms_norm.h"

#include "adder/kernels/ref/gated_rms_norm.h"

namespace adder::kernels {

void gated_rms_norm(const GatedRmsNormInputs& in, const View<2>& y, const Parallel&) {
  in.x.dtype == DType::f64 ? ref::gated_rms_norm<double>(in, y) : ref::gated_rms_norm<float>(in, y);
}

void gated_rms_norm_backward(const GatedRmsNormInputs& in, const GatedRmsNormGradients& grads,
                             const Parallel&) {
  in.x.dtype == DType::f64 ? ref::gated_rms_norm_backward<double>(in, grads)
                           : ref::gated_rms_norm_backward<float>(in, grads);
}

}  // namespace adder::kernels
