// Matrix products by the cuBLASLt kernel that is the fastest for their shapes. What cuBLAS picks by
// itself is up to a fifth slower on an H200, and some of its picks cut sums in parts.
#pragma once

#include <ATen/core/Tensor.h>

namespace adder::train {

/// out = a b or out += a b, for bf16 matrices a (m, k) and b (k, n) and bf16 or f32 out, each dense
/// along one of its dimensions. Products of new shapes try all kernels that cuBLASLt names, unless
/// a graph is being recorded. Only kernels that give the bits of the first are taken, so the choice
/// changes nothing but the time. False, and nothing done: small products, other matrices, new
/// shapes in a recording.
bool tuned_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool add);

}  // namespace adder::train
