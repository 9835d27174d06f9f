// The views that inference hands to kernels: f32 rows, and weights as they are stored.
#pragma once

#include <cstdint>

#include "adder/infer/small_tensor.h"
#include "adder/kernels/view.h"

namespace adder::infer {

/// `count` rows of `width` floats that stand `stride` apart. Kernels do not write their inputs.
inline kernels::View<2> rows(const float* data, int64_t count, int64_t width, int64_t stride) {
  return {const_cast<float*>(data), DType::f32, {count, width}, {stride, 1}};
}

/// The same, dense.
inline kernels::View<2> rows(const float* data, int64_t count, int64_t width) {
  return rows(data, count, width, width);
}

inline kernels::View<1> vector(const SmallTensor& tensor, int64_t size) {
  return kernels::dense<1>(tensor.view_data(), DType::f32, {size});
}

}  // namespace adder::infer
