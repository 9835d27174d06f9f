// The parameters of a model: fp32 master tensors by name, made from model::tensor_specs.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <vector>

#include "adder/model/directory.h"

namespace adder::nn {

using at::Tensor;

class Parameters {
 public:
  /// Fresh tensors, initialised as the specs say.
  Parameters(std::vector<model::TensorSpec> specs, uint64_t seed);

  /// Throws kInternal when there is none of this name.
  const Tensor& at(const std::string& name) const;
  bool has(const std::string& name) const { return index_.contains(name); }

  const std::vector<model::TensorSpec>& specs() const { return specs_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }  // in the order of specs()

  /// Copies the values of `weights` (f32, bf16 or f16) in. Throws kShape on a name or shape that
  /// does not fit.
  void load(const model::Weights& weights);
  /// The tensors, borrowed.
  model::Weights weights() const;

 private:
  std::vector<model::TensorSpec> specs_;
  std::vector<Tensor> tensors_;
  std::map<std::string, size_t> index_;
};

}  // namespace adder::nn
