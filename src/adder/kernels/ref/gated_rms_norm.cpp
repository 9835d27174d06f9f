#include "adder/kernels/ref/gated_rms_norm.h"

#include <vector>

#include "adder/kernels/ref/element.h"

namespace adder::kernels::ref {
namespace {

/// silu(z) at one place, 1 without a gate.
template <typename T>
T gate_at(const GatedRmsNormInputs& in, int64_t row, int64_t i) {
  return in.z.given() ? silu(get<T>(in.z, row, i)) : T(1);
}

/// What is normalised: x silu(z), or x when the gate comes after the norm.
template <typename T>
T value_at(const GatedRmsNormInputs& in, int64_t row, int64_t i) {
  const T x = get<T>(in.x, row, i);
  return in.norm_before_gate ? x : x * gate_at<T>(in, row, i);
}

/// rho of the group of channels that begins at `begin`.
template <typename T>
T inverse_rms(const GatedRmsNormInputs& in, int64_t row, int64_t begin) {
  T squares = 0;
  for (int64_t i = begin; i < begin + in.group_size; ++i) {
    const T v = value_at<T>(in, row, i);
    squares += v * v;
  }
  return 1 / std::sqrt(squares / static_cast<T>(in.group_size) + static_cast<T>(in.eps));
}

template <typename T>
T y_at(const GatedRmsNormInputs& in, int64_t row, int64_t i, T rho) {
  const T gate = in.norm_before_gate ? gate_at<T>(in, row, i) : T(1);
  return value_at<T>(in, row, i) * rho * get<T>(in.weight, i) * gate;
}

/// The gradients of one group of channels of one row, with v what is normalised and n = v rho:
///   g = grad_y weight (silu(z) if the gate comes after)      dv = rho (g - n mean(n g))
template <typename T>
void backward_group(const GatedRmsNormInputs& in, const GatedRmsNormGradients& grads, int64_t row,
                    int64_t begin, std::vector<T>& grad_weight) {
  const int64_t end = begin + in.group_size;
  const T rho = inverse_rms<T>(in, row, begin);
  const auto grad_n = [&](int64_t i) {
    const T gate = in.norm_before_gate ? gate_at<T>(in, row, i) : T(1);
    return get<T>(grads.grad_y, row, i) * gate * get<T>(in.weight, i);
  };
  T mean = 0;
  for (int64_t i = begin; i < end; ++i)
    mean += value_at<T>(in, row, i) * rho * grad_n(i) / static_cast<T>(in.group_size);
  for (int64_t i = begin; i < end; ++i) {
    const T n = value_at<T>(in, row, i) * rho, grad_y = get<T>(grads.grad_y, row, i);
    const T gate = gate_at<T>(in, row, i);
    const T grad_v = rho * (grad_n(i) - n * mean);
    set(grads.normed, y_at<T>(in, row, i, rho), row, i);
    grad_weight[i] += grad_y * n * (in.norm_before_gate ? gate : T(1));
    set(grads.grad_x, in.norm_before_gate ? grad_v : grad_v * gate, row, i);
    if (!in.z.given()) continue;
    const T grad_gate =
        in.norm_before_gate ? grad_y * n * get<T>(in.weight, i) : grad_v * get<T>(in.x, row, i);
    set(grads.grad_z, grad_gate * silu_slope(get<T>(in.z, row, i)), row, i);
  }
}

}  // namespace

template <typename T>
void gated_rms_norm(const GatedRmsNormInputs& in, const View<2>& y) {
  const auto [rows, width] = in.x.size;
  for (int64_t row = 0; row < rows; ++row) {
    for (int64_t begin = 0; begin < width; begin += in.group_size) {
      const T rho = inverse_rms<T>(in, row, begin);
      for (int64_t i = begin; i < begin + in.group_size; ++i)
        set(y, y_at<T>(in, row, i, rho), row, i);
    }
  }
}

template <typename T>
void gated_rms_norm_backward(const GatedRmsNormInputs& in, const GatedRmsNormGradients& grads) {
  const auto [rows, width] = in.x.size;
  std::vector<T> grad_weight(width, T(0));
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t begin = 0; begin < width; begin += in.group_size)
      backward_group(in, grads, row, begin, grad_weight);
  for (int64_t i = 0; i < width; ++i) set(grads.grad_weight, grad_weight[i], i);
}

template void gated_rms_norm<float>(const GatedRmsNormInputs&, const View<2>&);
template void gated_rms_norm<double>(const GatedRmsNormInputs&, const View<2>&);
template void gated_rms_norm_backward<float>(const GatedRmsNormInputs&,
                                             const GatedRmsNormGradients&);
template void gated_rms_norm_backward<double>(const GatedRmsNormInputs&,
                                              const GatedRmsNormGradients&);

}  // namespace adder::kernels::ref
