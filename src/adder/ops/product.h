// The matrix product of training: LibTorch's, through oneDNN where that is the faster road. On
// processors that are not Intel's at::linear takes fp32 products to a library path at half the
// speed (90 against 200 GFLOP/s on one core of an AVX-512 machine). On a device whoever offers a
// faster one is asked first (train/train_cuda_products.h). Results do not depend on the number of
// threads.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "adder/ops/view.h"

namespace adder::ops {

/// x (M, K) times the transpose of w (N, K), + bias (N): (M, N). One type for all; any strides. A
/// transposed view of a dense matrix costs no copy; other views are copied, for oneDNN takes some
/// of them (columns of a matrix) to a loop below 0.1 GFLOP/s.
at::Tensor product(const at::Tensor& x, const at::Tensor& w,
                   const std::optional<at::Tensor>& bias = std::nullopt);

/// Checks that `matrix` (N, K), called `name`, and `bias` (N) fit x (..., K) and have its type; the
/// sizes of the product, (..., N).
std::vector<int64_t> product_sizes(const ArgumentCheck& check, const at::Tensor& x,
                                   const char* name, const at::Tensor& matrix,
                                   const std::optional<at::Tensor>& bias);

/// out = a b, or out += a b where `add`, for a (m, k) and b (k, n) on a device. Sums in f32, and so
/// may be out where a and b are bf16.
void set_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool add = false);

/// set_product, if it takes these matrices; else false, and nothing was done. The same call gives
/// the same bits in every process on the same kind of device.
using DeviceProduct = bool(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b,
                           bool add);

/// From now on asked before LibTorch; nullptr: nobody is.
void offer_device_product(DeviceProduct* product);

}  // namespace adder::ops
