// The MLP of a block as data: after the mixer, with a norm of its own (mamba-core 2.5).
#pragma once

#include <string>
#include <vector>

#include "adder/model/mixer_spec.h"

namespace adder::model {

/// swiglu (Shazeer, arXiv 2002.05202): fc2(a * silu(b)) with [a | b] = fc1(x), the layout of the
/// Mamba authors' GatedMLP; gelu: fc2(gelu(fc1(x))), gelu exact (by erf).
struct MlpSpec {
  std::string kind = "none";
  int64_t d_hidden = 0;  // 0: 8/3 d_model for swiglu, 4 d_model for gelu, rounded up to 128
  bool bias = false;

  void describe(OptionVisitor& visitor);
  /// Throws kConfig naming the option.
  void check() const;

  bool given() const { return kind != "none"; }
  int64_t hidden(int64_t d_model) const;
  /// "fc1.weight" (2 hidden or hidden, d_model), "fc2.weight" (d_model, hidden), their biases.
  std::vector<TensorSpec> tensors(const LayerPlace& place) const;
  /// Of one token.
  double forward_flops(int64_t d_model) const;
};

}  // namespace adder::model
