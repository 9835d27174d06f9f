// The vectorised variants behind word_ssm.h. Element types: q, k, v, the reads and their gradients
// are all f32 or all bf16; all else is f32.
#pragma once

#include "adder/kernels/dispatch.h"
#include "adder/kernels/word_ssm.h"

namespace adder::kernels {

ADDER_DECLARE_VARIANTS(void word_ssm(const WordSsmInputs& in, const WordSsmOutputs& out,
                                     const Parallel& parallel));
ADDER_DECLARE_VARIANTS(void word_ssm_backward(const WordSsmInputs& in,
                                              const WordSsmGradients& grads,
                                              const Parallel& parallel));

}  // namespace adder::kernels
