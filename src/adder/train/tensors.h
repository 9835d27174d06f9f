// A batch's arrays as tensors over the same memory, and a look at many tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>
#include <vector>

#include "adder/data/array.h"

namespace adder::train {

/// The array `name` of the batch, borrowed: the batch must outlive the tensor. Undefined when there
/// is none.
at::Tensor tensor_of(const data::Batch& batch, const std::string& name);

/// Whether every element is a finite number.
bool all_finite(const std::vector<at::Tensor>& tensors);

}  // namespace adder::train
