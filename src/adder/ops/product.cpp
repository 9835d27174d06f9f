#include "adder/ops/product.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

namespace adder::ops {
namespace {

at::Tensor dense(const at::Tensor& matrix) {
  return matrix.is_contiguous() || matrix.t().is_contiguous() ? matrix : matrix.contiguous();
}

}  // namespace

at::Tensor product(const at::Tensor& x, const at::Tensor& w,
                   const std::optional<at::Tensor>& bias) {
  const auto type = x.scalar_type();
  const bool one_dnn =
      x.is_cpu() && (type == at::kFloat || type == at::kBFloat16) && x.numel() > 0 && w.numel() > 0;
  if (!one_dnn) return at::linear(x, w, bias);
  using Op = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&,
                        c10::string_view, c10::List<std::optional<at::Scalar>>,
                        std::optional<c10::string_view>);
  static const auto op =
      c10::Dispatcher::singleton().findSchemaOrThrow("mkldnn::_linear_pointwise", "").typed<Op>();
  return op.call(dense(x), dense(w), bias, "none", c10::List<std::optional<at::Scalar>>(),
                 std::nullopt);
}

}  // namespace adder::ops
