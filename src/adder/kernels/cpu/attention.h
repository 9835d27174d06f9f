// The variants of attention.h, one for each instruction set.
#pragma once

#include "adder/kernels/attention.h"
#include "adder/kernels/dispatch.h"

namespace adder::kernels {

ADDER_DECLARE_VARIANTS(void attention(const AttentionInputs&, const View<3>&, const Parallel&));

}  // namespace adder::kernels
