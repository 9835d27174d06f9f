// embedding: the rows of a table in the type of activations. On the CPU with LibTorch's functions.
#include "adder/kernels/embedding.h"

#include <ATen/ATen.h>
#include <torch/library.h>

#include <array>
#include <limits>
#include <tuple>
#include <vector>

#include "adder/ops/device.h"

namespace adder::ops {
namespace {

Tensor embedding_meta(const Tensor& weight, const Tensor& tokens, at::ScalarType dtype) {
  const ArgumentCheck check("embedding", weight);
  check.activation("weight", weight);
  check.shape("weight", weight, {-1, -1});
  check.shape("tokens", tokens, tokens.sizes());
  check.that(at::isIntegralType(tokens.scalar_type(), /*includeBool=*/false),
             "tokens are not whole numbers");
  std::vector<int64_t> sizes = tokens.sizes().vec();
  sizes.push_back(weight.size(1));
  return at::empty(sizes, weight.options().dtype(dtype));
}

Tensor embedding_cpu(const Tensor& weight, const Tensor& tokens, at::ScalarType dtype) {
  return at::embedding(weight, tokens).to(dtype);
}

std::vector<Tensor> embedding_backward_cpu(const OptionalTensor& grad_y, const Tensor& weight,
                                           const Tensor& tokens, at::ScalarType /*dtype*/,
                                           std::array<bool, 2> /*needs*/) {
  const Tensor gradient = grad_y->to(weight.scalar_type());
  return {at::embedding_dense_backward(gradient, tokens, weight.size(0), /*padding_idx=*/-1,
                                       /*scale_grad_by_freq=*/false),
          Tensor()};
}

/// In i32; what does not fit stays outside of any table.
Tensor narrowed(const Tensor& tokens) {
  constexpr int64_t kMost = std::numeric_limits<int32_t>::max();
  return tokens.reshape({-1}).clamp(-1, kMost).to(at::kInt);
}

Tensor embedding_cuda(const Tensor& weight, const Tensor& tokens, at::ScalarType dtype) {
  const Tensor y = embedding_meta(weight, tokens, dtype);
  ArgumentCheck("embedding", weight).dtype("weight", weight, at::kFloat);
  const Tensor rows = last_contiguous(weight), which = narrowed(tokens);
  run_on_device(
      "embedding", weight, &kernels::CudaKernels::embedding,
      kernels::EmbeddingRows{view<2>(rows), view<1>(which), view<2>(y.view({-1, y.size(-1)}))});
  return y;
}

std::vector<Tensor> embedding_backward_cuda(const OptionalTensor& grad_y, const Tensor& weight,
                                            const Tensor& tokens, at::ScalarType /*dtype*/,
                                            std::array<bool, 2> /*needs*/) {
  const auto [sorted, order] =
      narrowed(tokens).sort(/*stable=*/true, /*dim=*/0, /*descending=*/false);
  const Tensor gy = last_contiguous(grad_y->reshape({-1, weight.size(1)}));
  const Tensor grad_weight = at::empty(weight.sizes(), weight.options());
  run_on_device("embedding_backward", weight, &kernels::CudaKernels::embedding_backward,
                kernels::EmbeddingGradient{view<2>(gy), view<1>(sorted), view<1>(order),
                                           view<2>(grad_weight)});
  return {grad_weight, Tensor()};
}

}  // namespace

TORCH_LIBRARY_IMPL(adder, CPU, library) {
  library.impl("embedding", &embedding_cpu);
  library.impl("embedding_backward", &embedding_backward_cpu);
}

TORCH_LIBRARY_IMPL(adder, CUDA, library) {
  library.impl("embedding", &embedding_cuda);
  library.impl("embedding_backward", &embedding_backward_cuda);
}

TORCH_LIBRARY_IMPL(adder, Meta, library) {
  library.impl("embedding", &embedding_meta);
}

}  // namespace adder::ops
