// A batch's arrays as tensors, and a look at many tensors.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "adder/data/array.h"

namespace adder::train {

/// A batch as loss_sum() reads it.
struct TensorBatch {
  std::map<std::string, at::Tensor> arrays;
  uint32_t traits = 0;  // Task::traits() of it

  /// Undefined when there is none of this name.
  at::Tensor at(const std::string& name) const;
};

/// Tensors over the batch's own memory: it must outlive them.
TensorBatch borrow(const data::Batch& batch, uint32_t traits);
/// The same on a device: a copy. On the CPU nothing is copied.
TensorBatch to_device(const TensorBatch& batch, at::Device device);
/// Memory for batches of the same shapes.
TensorBatch empty_like(const TensorBatch& batch, const at::TensorOptions& where);

/// Whether every element is a finite number.
bool all_finite(const std::vector<at::Tensor>& tensors);

}  // namespace adder::train
