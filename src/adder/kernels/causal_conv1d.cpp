#include "adder/kernels/causal_conv1d.h"

#include "adder/kernels/ref/causal_conv1d.h"

namespace adder::kernels {

void causal_conv1d(const Conv1dInputs& in, const Conv1dOutputs& out, const Parallel&) {
  in.x.dtype == DType::f64 ? ref::causal_conv1d<double>(in, out) : ref::causal_conv1d<float>(in, out);
}

void causal_conv1d_backward(const Conv1dInputs& in, const Conv1dGradients& grads, const Parallel&) {
  in.x.dtype == DType::f64 ? ref::causal_conv1d_backward<double>(in, grads)
                           : ref::causal_conv1d_backward<float>(in, grads);
}

void causal_conv1d_update(const Conv1dUpdate& args, const Parallel&) {
  args.x.dtype == DType::f64 ? ref::causal_conv1d_update<double>(args)
                             : ref::causal_conv1d_update<float>(args);
}

}  // namespace adder::kernels
