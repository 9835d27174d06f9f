// The variants of cross_entropy.h, one for each instruction set.
#pragma once

#include "adder/kernels/cross_entropy.h"
#include "adder/kernels/dispatch.h"

namespace adder::kernels {

ADDER_DECLARE_VARIANTS(void cross_entropy_rows(const View<2>&, const View<1>&, const View<1>&,
                                               const CrossEntropyOptions&, const Parallel&));
ADDER_DECLARE_VARIANTS(void cross_entropy_rows_backward(const View<2>&, const View<1>&,
                                                        const View<1>&, const CrossEntropyOptions&,
                                                        const Parallel&));

}  // namespace adder::kernels
