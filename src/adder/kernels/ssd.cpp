#include "adder/kernels/ssd.h"

#include "adder/kernels/cpu/ssd.h"
#include "adder/kernels/ref/ssd.h"

namespace adder::kernels {
namespace {

bool any_double_input(const SsdInputs& in) {
  return any_double(in.x, in.dt, in.A, in.B, in.C, in.D, in.z, in.dt_bias, in.initial_state);
}

}  // namespace

void ssd(const SsdInputs& in, const SsdOutputs& out, const Parallel& parallel) {
  if (any_double_input(in) || any_double(out.final_state)) return ref::ssd<double>(in, out);
  ADDER_VARIANT(ssd)(in, out, parallel);
}

void ssd_backward(const SsdInputs& in, const SsdGradients& grads, const Parallel& parallel) {
  if (any_double_input(in) || any_double(grads.grad_final_state))
    return ref::ssd_backward<double>(in, grads);
  ADDER_VARIANT(ssd_backward)(in, grads, parallel);
}

void ssd_update(const SsdUpdate& args, const Parallel& parallel) {
  if (any_double(args.state, args.x, args.dt, args.A, args.B, args.C, args.D, args.z, args.dt_bias))
    return ref::ssd_update<double>(args);
  ADDER_VARIANT(ssd_update)(args, parallel);
}

}  // namespace adder::kernels
