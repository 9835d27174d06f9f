#include "adder/kernels/ref/rms_norm.h"

#include <vector>

#include "adder/kernels/ref/element.h"

namespace adder::kernels::ref {
namespace {

/// r = x + residual of one row: of whichever is given.
template <typename T>
std::vector<T> sum_row(const RmsNormInputs& in, int64_t row, int64_t width) {
  std::vector<T> r(width, T(0));
  for (int64_t i = 0; i < width; ++i) {
    if (in.x.given()) r[i] += get<T>(in.x, row, i);
    if (in.residual.given()) r[i] += get<T>(in.residual, row, i);
  }
  return r;
}

/// rho = (mean(r^2) + eps)^(-1/2).
template <typename T>
T inverse_rms(const std::vector<T>& r, double eps) {
  T squares = 0;
  for (const T v : r) squares += v * v;
  return 1 / std::sqrt(squares / static_cast<T>(r.size()) + static_cast<T>(eps));
}

}  // namespace

template <typename T>
void rms_norm(const RmsNormInputs& in, const RmsNormOutputs& out) {
  const auto [rows, width] = in.x.size;
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<T> r = sum_row<T>(in, row, width);
    const T rho = inverse_rms(r, in.eps);
    for (int64_t i = 0; i < width; ++i) {
      set(out.y, r[i] * rho * get<T>(in.weight, i), row, i);
      set(out.new_residual, r[i], row, i);
    }
  }
}

// With n = r rho and g = grad_y weight:   grad_r = rho (g - n mean(n g)) + grad_new_residual.
template <typename T>
void rms_norm_backward(const RmsNormInputs& in, const RmsNormGradients& grads) {
  const auto [rows, width] = grads.grad_y.size;
  std::vector<T> grad_weight(width, T(0));
  for (int64_t row = 0; row < rows; ++row) {
    const std::vector<T> r = sum_row<T>(in, row, width);
    const T rho = inverse_rms(r, in.eps);
    T mean = 0;
    for (int64_t i = 0; i < width; ++i) {
      const T n = r[i] * rho, grad_y = get<T>(grads.grad_y, row, i);
      mean += n * grad_y * get<T>(in.weight, i) / static_cast<T>(width);
      grad_weight[i] += grad_y * n;
    }
    for (int64_t i = 0; i < width; ++i) {
      const T g = get<T>(grads.grad_y, row, i) * get<T>(in.weight, i);
      T grad_r = rho * (g - r[i] * rho * mean);
      if (grads.grad_new_residual.given()) grad_r += get<T>(grads.grad_new_residual, row, i);
      set(grads.grad_x, grad_r, row, i);
      set(grads.grad_residual, grad_r, row, i);
    }
  }
  for (int64_t i = 0; i < width; ++i) set(grads.grad_weight, grad_weight[i], i);
}

template void rms_norm<float>(const RmsNormInputs&, const RmsNormOutputs&);
template void rms_norm<double>(const RmsNormInputs&, const RmsNormOutputs&);
template void rms_norm_backward<float>(const RmsNormInputs&, const RmsNormGradients&);
template void rms_norm_backward<double>(const RmsNormInputs&, const RmsNormGradients&);

}  // namespace adder::kernels::ref
