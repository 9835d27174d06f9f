// A batch's arrays as tensors over the same memory.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

#include "adder/data/array.h"

namespace adder::train {

/// The array `name` of the batch, borrowed: the batch must outlive the tensor. Undefined when there
/// is none.
at::Tensor tensor_of(const data::Batch& batch, const std::string& name);

}  // namespace adder::train
