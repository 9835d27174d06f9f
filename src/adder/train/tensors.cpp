#include "adder/train/tensors.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "adder/base/error.h"

namespace adder::train {

namespace {

at::ScalarType scalar_type(DType type) {
  switch (type) {
    case DType::f32:
      return at::kFloat;
    case DType::f64:
      return at::kDouble;
    case DType::i32:
      return at::kInt;
    case DType::i64:
      return at::kLong;
    default:
      throw Error(ErrorKind::kInternal,
                  {.what = "a batch holds an array of type " + std::string(to_string(type))});
  }
}

}  // namespace

at::Tensor TensorBatch::at(const std::string& name) const {
  const auto found = arrays.find(name);
  return found == arrays.end() ? at::Tensor() : found->second;
}

TensorBatch borrow(const data::Batch& batch, uint32_t traits) {
  TensorBatch tensors{{}, traits};
  for (const auto& [name, array] : batch) {
    tensors.arrays[name] = at::from_blob(const_cast<std::byte*>(array.bytes.data()), array.shape,
                                         scalar_type(array.dtype));
  }
  return tensors;
}

TensorBatch to_device(const TensorBatch& batch, at::Device device) {
  TensorBatch there{{}, batch.traits};
  for (const auto& [name, tensor] : batch.arrays) there.arrays[name] = tensor.to(device);
  return there;
}

TensorBatch empty_like(const TensorBatch& batch, const at::TensorOptions& where) {
  TensorBatch memory{{}, batch.traits};
  for (const auto& [name, tensor] : batch.arrays) {
    memory.arrays[name] = at::empty(tensor.sizes(), where.dtype(tensor.scalar_type()));
  }
  return memory;
}

bool all_finite(const std::vector<at::Tensor>& tensors) {
  return std::ranges::all_of(tensors, [](const at::Tensor& tensor) {
    if (tensor.numel() == 0) return true;
    // Both are NaN where any element is; no copy of the tensor is made.
    const auto [lowest, highest] = at::aminmax(tensor.detach());
    return std::isfinite(lowest.item<double>()) && std::isfinite(highest.item<double>());
  });
}

}  // namespace adder::train
