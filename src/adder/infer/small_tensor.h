// Norm weights, biases, decays: small tensors that kernels take as f32.
#pragma once

#include <string>
#include <vector>

#include "adder/model/directory.h"

namespace adder::infer {

/// Borrowed where it is f32 already, else copied once.
class SmallTensor {
 public:
  SmallTensor() = default;  // not given
  explicit SmallTensor(const model::TensorView& tensor);
  /// The tensor of that name, or none.
  static SmallTensor find(const model::Weights& weights, const std::string& name);
  SmallTensor(const SmallTensor&) = delete;
  SmallTensor& operator=(const SmallTensor&) = delete;
  SmallTensor(SmallTensor&&) = default;
  SmallTensor& operator=(SmallTensor&&) = default;

  bool given() const { return data_ != nullptr; }
  const float* data() const { return data_; }
  /// Views want a mutable pointer; kernels do not write their inputs.
  float* view_data() const { return const_cast<float*>(data_); }

 private:
  const float* data_ = nullptr;
  std::vector<float> copy_;
};

}  // namespace adder::infer
