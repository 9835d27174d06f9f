// One element of a View, read or written as T whatever the View's dtype: what the plain loops of
// ref/ stand on. Slow on purpose; results are rounded once, on the way out.
#pragma once

#include <cmath>

#include "adder/kernels/view.h"

namespace adder::kernels::ref {

template <int Rank, typename... Index>
int64_t offset_of(const View<Rank>& view, Index... index) {
  static_assert(sizeof...(Index) == Rank);
  int64_t offset = 0;
  int d = 0;
  ((offset += static_cast<int64_t>(index) * view.stride[d++]), ...);
  return offset;
}

template <typename T, int Rank, typename... Index>
T get(const View<Rank>& view, Index... index) {
  const int64_t i = offset_of(view, index...);
  switch (view.dtype) {
    case DType::f64:
      return static_cast<T>(view.template as<double>()[i]);
    case DType::f32:
      return static_cast<T>(view.template as<float>()[i]);
    case DType::bf16:
      return static_cast<T>(to_float(view.template as<bf16>()[i]));
    case DType::f16:
      return static_cast<T>(to_float(view.template as<f16>()[i]));
    case DType::i64:
      return static_cast<T>(view.template as<int64_t>()[i]);
    default:
      return static_cast<T>(view.template as<int32_t>()[i]);
  }
}

/// Does nothing when the View was not given: an output that nobody asked for.
template <typename T, int Rank, typename... Index>
void set(const View<Rank>& view, T value, Index... index) {
  if (!view.given()) return;
  const int64_t i = offset_of(view, index...);
  switch (view.dtype) {
    case DType::f64:
      view.template as<double>()[i] = static_cast<double>(value);
      break;
    case DType::bf16:
      view.template as<bf16>()[i] = to_bf16(static_cast<float>(value));
      break;
    case DType::f16:
      view.template as<f16>()[i] = to_f16(static_cast<float>(value));
      break;
    default:
      view.template as<float>()[i] = static_cast<float>(value);
      break;
  }
}

template <typename T>
T sigmoid(T x) {
  return 1 / (1 + std::exp(-x));
}

template <typename T>
T silu(T x) {
  return x * sigmoid(x);
}

/// d silu(x) / dx.
template <typename T>
T silu_slope(T x) {
  const T s = sigmoid(x);
  return s * (1 + x * (1 - s));
}

}  // namespace adder::kernels::ref
