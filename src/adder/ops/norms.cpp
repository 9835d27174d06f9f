// rms_norm, gated_rms_norm and the latter with a product after it: checks, views, dispatch. The
// mathematics is in kernels/rms_norm.h and kernels/gated_rms_norm.h.
#include <ATen/ATen.h>
#include <torch/library.h>

#include <array>
#include <tuple>
#include <vector>

#include "adder/kernels/gated_rms_norm.h"
#include "adder/kernels/rms_norm.h"
#include "adder/ops/device.h"
#include "adder/ops/product.h"
#include "adder/ops/slices.h"

namespace adder::ops {

namespace {

/// (..., width) as (rows, width), last dimension contiguous; a copy only where no view will do.
Tensor as_rows(const Tensor& tensor) {
  return last_contiguous(tensor.reshape({-1, tensor.size(-1)}));
}

OptionalTensor as_rows(const OptionalTensor& tensor) {
  return tensor ? OptionalTensor(as_rows(*tensor)) : std::nullopt;
}

void check_norm(const ArgumentCheck& check, const Tensor& x, const Tensor& weight) {
  check.activation("x", x);
  check.that(x.dim() >= 1, "x has no dimension to normalise");
  check.shape("weight", weight, {x.size(-1)});
  check.dtype("weight", weight, wide(x.scalar_type()));
}

std::tuple<Tensor, Tensor> rms_norm_meta(const Tensor& x, const Tensor& weight, double /*eps*/,
                                         const OptionalTensor& residual, bool residual_in_fp32) {
  const ArgumentCheck check("rms_norm", x);
  check_norm(check, x, weight);
  auto type = residual_in_fp32 ? wide(x.scalar_type()) : x.scalar_type();
  if (residual) {
    check.shape("residual", *residual, x.sizes());
    check.activation("residual", *residual);
    check.that((residual->scalar_type() == at::kDouble) == (x.scalar_type() == at::kDouble),
               "float64 is for x and residual together or for neither");
    type = residual->scalar_type();
  }
  return {at::empty(x.sizes(), x.options()), at::empty(x.sizes(), x.options().dtype(type))};
}

std::tuple<Tensor, Tensor> rms_norm_run(const Tensor& x, const Tensor& weight, double eps,
                                        const OptionalTensor& residual, bool residual_in_fp32) {
  auto [y, new_residual] = rms_norm_meta(x, weight, eps, residual, residual_in_fp32);
  const Tensor rows = as_rows(x), dense_weight = weight.contiguous();
  const OptionalTensor residual_rows = as_rows(residual);
  run_kernel(
      "rms_norm", x, kernels::rms_norm, &kernels::CudaKernels::rms_norm,
      kernels::RmsNormInputs{view<2>(rows), view<1>(dense_weight), view<2>(residual_rows), eps},
      kernels::RmsNormOutputs{view<2>(as_rows(y)), view<2>(as_rows(new_residual))});
  return {y, new_residual};
}

std::vector<Tensor> rms_norm_backward_run(const OptionalTensor& grad_y,
                                          const OptionalTensor& grad_new_residual,
                                          const OptionalTensor& x, const Tensor& weight, double eps,
                                          const OptionalTensor& residual, bool /*residual_in_fp32*/,
                                          std::array<bool, 3> needs) {
  // Without x the residual is the sum of both, and the type of x is that of grad_y.
  const Tensor& either = x ? *x : *residual;
  const OptionalTensor rows = as_rows(x), residual_rows = as_rows(residual);
  const Tensor dense_weight = weight.contiguous();
  const Tensor gy = as_rows(grad_y ? *grad_y : at::zeros_like(either));
  const OptionalTensor gr = as_rows(grad_new_residual);
  std::vector<Tensor> grads(3);
  if (needs[0]) grads[0] = x ? empty_gradient(*x) : at::empty(either.sizes(), gy.options());
  if (needs[1]) grads[1] = empty_gradient(weight);
  if (needs[2]) grads[2] = empty_gradient(*residual);
  kernels::RmsNormGradients out;
  out.grad_y = view<2>(gy);
  out.grad_new_residual = view<2>(gr);
  if (needs[0]) out.grad_x = view<2>(as_rows(grads[0]));
  out.grad_weight = view<1>(grads[1]);
  if (needs[2]) out.grad_residual = view<2>(as_rows(grads[2]));
  run_kernel(
      "rms_norm_backward", either, kernels::rms_norm_backward,
      &kernels::CudaKernels::rms_norm_backward,
      kernels::RmsNormInputs{view<2>(rows), view<1>(dense_weight), view<2>(residual_rows), eps},
      out);
  return grads;
}

Tensor gated_rms_norm_meta(const Tensor& x, const Tensor& weight, const OptionalTensor& z,
                           double /*eps*/, int64_t group_size, bool /*norm_before_gate*/) {
  const ArgumentCheck check("gated_rms_norm", x);
  check_norm(check, x, weight);
  check.that(group_size >= 1 && x.size(-1) % group_size == 0,
             "group_size does not divide the width of x");
  if (z) check.shape("z", *z, x.sizes()), check.dtype("z", *z, x.scalar_type());
  return at::empty(x.sizes(), x.options());
}

Tensor gated_rms_norm_run(const Tensor& x, const Tensor& weight, const OptionalTensor& z,
                          double eps, int64_t group_size, bool norm_before_gate) {
  Tensor y = gated_rms_norm_meta(x, weight, z, eps, group_size, norm_before_gate);
  const Tensor rows = as_rows(x), dense_weight = weight.contiguous();
  const OptionalTensor z_rows = as_rows(z);
  run_kernel("gated_rms_norm", x, kernels::gated_rms_norm, &kernels::CudaKernels::gated_rms_norm,
             kernels::GatedRmsNormInputs{view<2>(rows), view<1>(dense_weight), view<2>(z_rows), eps,
                                         group_size, norm_before_gate},
             view<2>(as_rows(y)));
  return y;
}

/// What gated_rms_norm takes.
struct GatedNorm {
  const Tensor &x, &weight;
  const OptionalTensor& z;
  double eps;
  int64_t group_size;
  bool norm_before_gate;
};

/// The gradients of x, weight and z that are needed; `normed` gets y once more where it is not
/// undefined.
std::vector<Tensor> gated_norm_gradients(const GatedNorm& norm, const Tensor& grad_y,
                                         const std::array<bool, 3>& needs, const Tensor& normed) {
  const auto& [x, weight, z, eps, group_size, norm_before_gate] = norm;
  const Tensor rows = as_rows(x), dense_weight = weight.contiguous(), gy = as_rows(grad_y);
  const OptionalTensor z_rows = as_rows(z);
  const OptionalTensor inputs[] = {x, weight, z};
  std::vector<Tensor> grads(3);
  for (size_t i = 0; i < 3; ++i) {
    if (needs[i]) grads[i] = empty_gradient(*inputs[i]);
  }
  kernels::GatedRmsNormGradients out;
  out.grad_y = view<2>(gy);
  if (needs[0]) out.grad_x = view<2>(as_rows(grads[0]));
  out.grad_weight = view<1>(grads[1]);
  if (needs[2]) out.grad_z = view<2>(as_rows(grads[2]));
  if (normed.defined()) out.normed = view<2>(as_rows(normed));
  run_kernel("gated_rms_norm_backward", x, kernels::gated_rms_norm_backward,
             &kernels::CudaKernels::gated_rms_norm_backward,
             kernels::GatedRmsNormInputs{view<2>(rows), view<1>(dense_weight), view<2>(z_rows), eps,
                                         group_size, norm_before_gate},
             out);
  return grads;
}

std::vector<Tensor> gated_rms_norm_backward_run(const OptionalTensor& grad_y, const Tensor& x,
                                                const Tensor& weight, const OptionalTensor& z,
                                                double eps, int64_t group_size,
                                                bool norm_before_gate, std::array<bool, 3> needs) {
  return gated_norm_gradients({x, weight, z, eps, group_size, norm_before_gate}, *grad_y, needs,
                              {});
}

/// Checks what gated_rms_norm does not take; the sizes of y.
std::vector<int64_t> checked_product(const Tensor& x, const Tensor& matrix,
                                     const OptionalTensor& bias) {
  return product_sizes(ArgumentCheck("gated_rms_norm_linear", x), x, "matrix", matrix, bias);
}

Tensor gated_rms_norm_linear_meta(const Tensor& x, const Tensor& weight, const OptionalTensor& z,
                                  double eps, int64_t group_size, bool norm_before_gate,
                                  const Tensor& matrix, const OptionalTensor& bias) {
  gated_rms_norm_meta(x, weight, z, eps, group_size, norm_before_gate);
  return at::empty(checked_product(x, matrix, bias), x.options());
}

Tensor gated_rms_norm_linear_run(const Tensor& x, const Tensor& weight, const OptionalTensor& z,
                                 double eps, int64_t group_size, bool norm_before_gate,
                                 const Tensor& matrix, const OptionalTensor& bias) {
  const std::vector<int64_t> sizes = checked_product(x, matrix, bias);
  const Tensor normed = gated_rms_norm_run(x, weight, z, eps, group_size, norm_before_gate);
  return product(as_rows(normed), matrix, bias).view(sizes);
}

/// What the matrix was multiplied with comes from the backward pass of the norm, which has it at
/// hand: nothing as large was kept.
std::vector<Tensor> gated_rms_norm_linear_backward_run(
    const OptionalTensor& grad_y, const Tensor& x, const Tensor& weight, const OptionalTensor& z,
    double eps, int64_t group_size, bool norm_before_gate, const Tensor& matrix,
    const OptionalTensor& /*bias*/, std::array<bool, 5> needs) {
  const Tensor gy = as_rows(*grad_y);
  const Tensor normed = needs[3] ? at::empty(x.sizes(), x.options()) : Tensor();
  std::vector<Tensor> grads = gated_norm_gradients(
      {x, weight, z, eps, group_size, norm_before_gate}, product(gy, matrix.t()).view(x.sizes()),
      {needs[0], needs[1], needs[2]}, normed);
  grads.push_back(needs[3] ? product(gy.t(), as_rows(normed).t()) : Tensor());
  grads.push_back(needs[4] ? gy.sum(0) : Tensor());
  return grads;
}

void register_norms(torch::Library& library) {
  library.impl("rms_norm", &rms_norm_run);
  library.impl("rms_norm_backward", &rms_norm_backward_run);
  library.impl("gated_rms_norm", &gated_rms_norm_run);
  library.impl("gated_rms_norm_backward", &gated_rms_norm_backward_run);
  library.impl("gated_rms_norm_linear", &gated_rms_norm_linear_run);
  library.impl("gated_rms_norm_linear_backward", &gated_rms_norm_linear_backward_run);
}

}  // namespace

TORCH_LIBRARY_IMPL(adder, CPU, library) {
  register_norms(library);
}

TORCH_LIBRARY_IMPL(adder, CUDA, library) {
  register_norms(library);
}

TORCH_LIBRARY_IMPL(adder, Meta, library) {
  library.impl("rms_norm", &rms_norm_meta);
  library.impl("gated_rms_norm", &gated_rms_norm_meta);
  library.impl("gated_rms_norm_linear", &gated_rms_norm_linear_meta);
}

}  // namespace adder::ops
