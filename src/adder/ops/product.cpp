#include "adder/ops/product.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>

#include <atomic>

namespace adder::ops {
namespace {

at::Tensor dense(const at::Tensor& matrix) {
  return matrix.is_contiguous() || matrix.t().is_contiguous() ? matrix : matrix.contiguous();
}

std::atomic<DeviceProduct*> device_product = nullptr;

at::Tensor product_on_device(const at::Tensor& x, const at::Tensor& w) {
  at::Tensor out = at::empty({x.size(0), w.size(0)}, x.options());
  set_product(out, x, w.t());
  return out;
}

}  // namespace

void offer_device_product(DeviceProduct* product) {
  device_product = product;
}

void set_product(const at::Tensor& out, const at::Tensor& a, const at::Tensor& b, bool add) {
  DeviceProduct* const offered = device_product;
  if (offered != nullptr && offered(out, a, b, add)) return;
  at::Tensor to = out;
  const bool wide = out.scalar_type() != a.scalar_type();
  if (add && wide) {
    at::addmm_out(to, to, a, b, out.scalar_type());
  } else if (add) {
    at::addmm_out(to, to, a, b);
  } else if (wide) {
    at::mm_out(to, a, b, out.scalar_type());
  } else {
    at::mm_out(to, a, b);
  }
}

std::vector<int64_t> product_sizes(const ArgumentCheck& check, const at::Tensor& x,
                                   const char* name, const at::Tensor& matrix,
                                   const std::optional<at::Tensor>& bias) {
  check.shape(name, matrix, {-1, x.size(-1)});
  check.dtype(name, matrix, x.scalar_type());
  if (bias)
    check.shape("bias", *bias, {matrix.size(0)}), check.dtype("bias", *bias, x.scalar_type());
  std::vector<int64_t> sizes = x.sizes().vec();
  sizes.back() = matrix.size(0);
  return sizes;
}

at::Tensor product(const at::Tensor& x, const at::Tensor& w,
                   const std::optional<at::Tensor>& bias) {
  const auto type = x.scalar_type();
  if (x.is_cuda() && !bias) return product_on_device(x, w);
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
