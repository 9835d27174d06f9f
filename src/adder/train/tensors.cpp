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

at::Tensor tensor_of(const data::Batch& batch, const std::string& name) {
  const auto found = batch.find(name);
  if (found == batch.end()) return {};
  const data::Array& array = found->second;
  return at::from_blob(const_cast<std::byte*>(array.bytes.data()), array.shape,
                       scalar_type(array.dtype));
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
