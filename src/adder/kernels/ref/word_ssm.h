// Plain loops for word_ssm.h, token after token: the oracle of its tests, and what double tensors
// run.
#pragma once

#include "adder/kernels/word_ssm.h"

namespace adder::kernels::ref {

/// T (float or double) is the type of the arithmetic; the views may hold any dtype.
template <typename T>
void word_ssm(const WordSsmInputs& in, const WordSsmOutputs& out);
template <typename T>
void word_ssm_backward(const WordSsmInputs& in, const WordSsmGradients& grads);

}  // namespace adder::kernels::ref
