#include "adder/kernels/causal_conv1d.h"

#include "adder/kernels/cpu/causal_conv1d.h"
#include "adder/kernels/ref/causal_conv1d.h"

namespace adder::kernels {

void causal_conv1d(const Conv1dInputs& in, const Conv1dOutputs& out, const Parallel& parallel) {
  in.x.dtype == DType::f64 ? ref::causal_conv1d<double>(in, out)
                           : ADDER_VARIANT(causal_conv1d)(in, out, parallel);
}

void causal_conv1d_backward(const Conv1dInputs& in, const Conv1dGradients& grads,
                            const Parallel& parallel) {
  in.x.dtype == DType::f64 ? ref::causal_conv1d_backward<double>(in, grads)
                           : ADDER_VARIANT(causal_conv1d_backward)(in, grads, parallel);
}

void causal_conv1d_update(const Conv1dUpdate& args, const Parallel& parallel) {
  args.x.dtype == DType::f64 ? ref::causal_conv1d_update<double>(args)
                             : ADDER_VARIANT(causal_conv1d_update)(args, parallel);
}

}  // namespace adder::kernels
