// Plain loops for cross_entropy.h: the oracle of its tests, and what double tensors run.
#pragma once

#include "adder/kernels/cross_entropy.h"

namespace adder::kernels::ref {

/// T (float or double) is the type of the arithmetic; the views may hold any dtype.
template <typename T>
void cross_entropy_rows(const View<2>& logits, const View<1>& target, const View<1>& nll,
                        const CrossEntropyOptions& options);
template <typename T>
void cross_entropy_rows_backward(const View<2>& logits, const View<1>& target, const View<1>& scale,
                                 const CrossEntropyOptions& options);

}  // namespace adder::kernels::ref
