// A borrowed array: pointer, element type, sizes and strides. Kernels see nothing else of their
// caller.
#pragma once

#include <array>
#include <cstdint>

#include "adder/base/dtype.h"

namespace adder::kernels {

template <int Rank>
struct View {
  void* data = nullptr;  // nullptr: an optional argument that was not given
  DType dtype = DType::f32;
  std::array<int64_t, Rank> size{};
  std::array<int64_t, Rank> stride{};  // in elements

  bool given() const { return data != nullptr; }
  template <typename T>
  T* as() const {
    return static_cast<T*>(data);
  }
};

/// A dense row-major view.
template <int Rank>
View<Rank> dense(void* data, DType dtype, std::array<int64_t, Rank> size) {
  View<Rank> view{data, dtype, size, {}};
  int64_t stride = 1;
  for (int d = Rank - 1; d >= 0; --d) {
    view.stride[d] = stride;
    stride *= size[d];
  }
  return view;
}

/// Is one of these that were given in double? The vectorised variants hold parameters and states in
/// f32; double anywhere runs the plain loops in double.
template <typename... Views>
bool any_double(const Views&... views) {
  return ((views.given() && views.dtype == DType::f64) || ...);
}

}  // namespace adder::kernels
