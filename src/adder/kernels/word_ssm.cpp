#include "adder/kernels/word_ssm.h"

#include "adder/kernels/cpu/word_ssm.h"
#include "adder/kernels/ref/word_ssm.h"

namespace adder::kernels {
namespace {

bool any_double_input(const WordSsmInputs& in) {
  return any_double(in.q, in.k, in.v, in.decay, in.initial_state);
}

}  // namespace

void word_ssm(const WordSsmInputs& in, const WordSsmOutputs& out, const Parallel& parallel) {
  if (any_double_input(in) || any_double(out.final_state)) return ref::word_ssm<double>(in, out);
  ADDER_VARIANT(word_ssm)(in, out, parallel);
}

void word_ssm_backward(const WordSsmInputs& in, const WordSsmGradients& grads,
                       const Parallel& parallel) {
  if (any_double_input(in) || any_double(grads.grad_final_state))
    return ref::word_ssm_backward<double>(in, grads);
  ADDER_VARIANT(word_ssm_backward)(in, grads, parallel);
}

}  // namespace adder::kernels
