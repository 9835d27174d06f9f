// A linear layer of a mixer or an MLP: what every kind uses for its projections.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "adder/nn/parameters.h"

namespace adder::nn {

using at::Tensor;

class Linear {
 public:
  /// Reads NAME.weight (out, in) and, where there is one, NAME.bias (out). `name` is the full one:
  /// "backbone.layers.3.mixer.in_proj".
  Linear(const Parameters& parameters, const std::string& name);

  /// x (..., in) -> x W^T + bias (..., out) in the type of x: parameters are cast where they are
  /// used. An adapter of this linear (Parameters::adapt) is added.
  Tensor operator()(const Tensor& x) const;

  /// The same without the bias, for operators that add it themselves.
  Tensor product(const Tensor& x) const;
  const std::optional<Tensor>& bias() const { return bias_; }
  bool has_adapter() const { return adapter_.has_value(); }
  /// (out, in), its adapter merged in: for operators that take the weight themselves.
  Tensor weight() const;

 private:
  Tensor adapted(const Tensor& x, Tensor y) const;

  Tensor weight_;
  std::optional<Tensor> bias_;
  std::optional<Adapter> adapter_;
};

}  // namespace adder::nn
