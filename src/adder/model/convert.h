// Weights from one float type to another.
#pragma once

#include <cstddef>
#include <vector>

#include "adder/model/tensor_spec.h"

namespace adder::model {

/// One element of a f32, bf16 or f16 tensor, whose data may stand at any address.
float element(const TensorView& tensor, int64_t index);

/// The elements as `dtype` (f32, bf16 or f16), rounded to nearest even. Throws kNumeric when a
/// finite one is too large for `dtype`.
std::vector<std::byte> convert(const TensorView& tensor, DType dtype);

}  // namespace adder::model
