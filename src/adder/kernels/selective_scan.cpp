#include "adder/kernels/selective_scan.h"

#include "adder/kernels/cpu/selective_scan.h"
#include "adder/kernels/ref/selective_scan.h"

namespace adder::kernels {
namespace {

bool any_double_input(const SelectiveScanInputs& in) {
  return any_double(in.u, in.delta, in.A, in.B, in.C, in.D, in.z, in.delta_bias, in.initial_state);
}

}  // namespace

void selective_scan(const SelectiveScanInputs& in, const SelectiveScanOutputs& out,
                    const Parallel& parallel) {
  if (any_double_input(in) || any_double(out.last_state))
    return ref::selective_scan<double>(in, out);
  ADDER_VARIANT(selective_scan)(in, out, parallel);
}

void selective_scan_backward(const SelectiveScanInputs& in, const SelectiveScanGradients& grads,
                             const Parallel& parallel) {
  if (any_double_input(in) || any_double(grads.grad_last_state))
    return ref::selective_scan_backward<double>(in, grads);
  ADDER_VARIANT(selective_scan_backward)(in, grads, parallel);
}

void selective_scan_update(const SelectiveScanUpdate& args, const Parallel& parallel) {
  if (any_double(args.state, args.u, args.delta, args.A, args.B, args.C, args.D, args.z,
                 args.delta_bias))
    return ref::selective_scan_update<double>(args);
  ADDER_VARIANT(selective_scan_update)(args, parallel);
}

}  // namespace adder::kernels
