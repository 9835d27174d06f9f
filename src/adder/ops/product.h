// The matrix product of training: LibTorch's, through oneDNN where that is the faster road. On
// processors that are not Intel's at::linear takes fp32 products to a library path at half the
// speed (90 against 200 GFLOP/s on one core of an AVX-512 machine). Results do not depend on the
// number of threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace adder::ops {

/// x (M, K) times the transpose of w (N, K), + bias (N): (M, N). One type for all; any strides. A
/// transposed view of a dense matrix costs no copy; other views are copied, for oneDNN takes some
/// of them (columns of a matrix) to a loop below 0.1 GFLOP/s.
at::Tensor product(const at::Tensor& x, const at::Tensor& w,
                   const std::optional<at::Tensor>& bias = std::nullopt);

}  // namespace adder::ops
