// The MLP of a block (model/mlp_spec.h; mamba-core 2.5).
#pragma once

#include "adder/model/mlp_spec.h"
#include "adder/nn/linear.h"

namespace adder::nn {

class Mlp {
 public:
  /// `prefix`: "backbone.layers.3.mlp."
  Mlp(const model::MlpSpec& spec, const Parameters& parameters, const std::string& prefix);

  /// x (..., d_model) -> (..., d_model)
  Tensor forward(const Tensor& x) const;

 private:
  bool gated_;
  Linear fc1_, fc2_;
};

}  // namespace adder::nn
