// y = x W^T + bias for inference, where there is no LibTorch. Training takes its products from
// LibTorch.
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

/// x (rows, in) f32, in contiguous; weight (out, in) f32|bf16|f16, in contiguous; bias (out) f32,
/// optional; y (rows, out) f32, out contiguous. Accumulates in f32. A row's result does not depend
/// on the other rows.
void linear(const View<2>& x, const View<2>& weight, const View<1>& bias, const View<2>& y,
            const Parallel& parallel);

}  // namespace adder::kernels
