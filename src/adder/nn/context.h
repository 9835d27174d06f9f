// What a forward pass knows beside its input: which documents are packed, randomness, who is
// watching.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <string>
#include <string_view>

namespace adder::nn {

using at::Tensor;

struct Context {
  Tensor seq_idx;  // (batch, length) i32, undefined: one document a row
  at::ScalarType compute =
      at::kFloat;           // type of activations and matrix products; parameters stay as they are
  bool checkpoint = false;  // activation checkpointing: keep a block's input, recompute the rest

  /// Called by mixers for what they compute on the way ("delta", "A", "B", "C", "y"); lens and
  /// statistics read it.
  std::function<void(int64_t layer, std::string_view name, const Tensor&)> on_probe;

  int64_t layer = 0;  // set by the stack
  void probe(std::string_view name, const Tensor& value) const {
    if (on_probe) on_probe(layer, name, value);
  }
};

/// The recurrent state of one layer, in the order of MixerSpec::states(), each with a leading batch
/// dimension. Empty before the first call; a mixer reads it as its start and replaces it by its
/// end.
using State = std::vector<Tensor>;

}  // namespace adder::nn
