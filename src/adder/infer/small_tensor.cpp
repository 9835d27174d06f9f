#include "adder/infer/small_tensor.h"

#include "adder/model/convert.h"

namespace adder::infer {

SmallTensor::SmallTensor(const model::TensorView& tensor) {
  if (tensor.dtype == DType::f32) {
    data_ = static_cast<const float*>(tensor.data);
    return;
  }
  copy_.resize(static_cast<std::size_t>(model::element_count(tensor.shape)));
  for (std::size_t i = 0; i < copy_.size(); ++i) {
    copy_[i] = model::element(tensor, static_cast<int64_t>(i));
  }
  data_ = copy_.data();
}

SmallTensor SmallTensor::find(const model::Weights& weights, const std::string& name) {
  const auto found = weights.find(name);
  return found == weights.end() ? SmallTensor() : SmallTensor(found->second);
}

}  // namespace adder::infer
