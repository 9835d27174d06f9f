// linear: y = x W^T + bias over the last dimension, with all three products of training through
// ops/product.h.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <array>
#include <vector>

#include "adder/ops/product.h"
#include "adder/ops/view.h"

namespace adder::ops {

namespace {

Tensor as_matrix(const Tensor& x) {
  return x.reshape({-1, x.size(-1)});
}

/// Checks the arguments; the sizes of y.
std::vector<int64_t> checked_sizes(const Tensor& x, const Tensor& weight,
                                   const OptionalTensor& bias) {
  const ArgumentCheck check("linear", x);
  check.activation("x", x);
  check.that(x.dim() >= 1, "x has no dimension");
  return product_sizes(check, x, "weight", weight, bias);
}

Tensor linear_meta(const Tensor& x, const Tensor& weight, const OptionalTensor& bias) {
  return at::empty(checked_sizes(x, weight, bias), x.options());
}

Tensor linear_run(const Tensor& x, const Tensor& weight, const OptionalTensor& bias) {
  const std::vector<int64_t> sizes = checked_sizes(x, weight, bias);
  return product(as_matrix(x), weight, bias).view(sizes);
}

std::vector<Tensor> linear_backward_run(const OptionalTensor& grad_y, const Tensor& x,
                                        const Tensor& weight, const OptionalTensor& /*bias*/,
                                        std::array<bool, 3> needs) {
  const Tensor gy = as_matrix(*grad_y);
  std::vector<Tensor> grads(3);
  if (needs[0]) grads[0] = product(gy, weight.t()).view(x.sizes());
  if (needs[1]) grads[1] = product(gy.t(), as_matrix(x).t());
  if (needs[2]) grads[2] = gy.sum(0);
  return grads;
}

void register_linear(torch::Library& library) {
  library.impl("linear", &linear_run);
  library.impl("linear_backward", &linear_backward_run);
}

}  // namespace

TORCH_LIBRARY_IMPL(adder, CPU, library) {
  register_linear(library);
}

TORCH_LIBRARY_IMPL(adder, CUDA, library) {
  register_linear(library);
}

TORCH_LIBRARY_IMPL(adder, Meta, library) {
  library.impl("linear", &linear_meta);
}

}  // namespace adder::ops
