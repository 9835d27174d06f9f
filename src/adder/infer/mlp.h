// The MLP of a block at inference (model/mlp_spec.h; mamba-core 2.5).
#pragma once

#include <string>

#include "adder/infer/arena.h"
#include "adder/infer/linear.h"
#include "adder/model/mlp_spec.h"

namespace adder::infer {

class Mlp {
 public:
  /// `prefix`: "backbone.layers.3.mlp."
  Mlp(const model::MlpSpec& spec, const model::Weights& weights, const std::string& prefix);

  /// x, y (count, d_model), dense.
  void run(const float* x, int64_t count, float* y, Arena& arena, const Parallel& parallel) const;

 private:
  bool gated_;
  Linear fc1_, fc2_;
};

}  // namespace adder::infer
