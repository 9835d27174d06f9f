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

}  // namespace adder::kernels
