// What a forward pass knows beside its input: which documents are packed, randomness, who is
// watching.
#pragma once

#include <ATen/core/Tensor.h>

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace adder::nn {

using at::Tensor;

struct Context {
  Tensor seq_idx;  // (batch, length) i32, undefined: one document a row
  // What the caller knows of seq_idx. Where it does not say, somebody looks: on a device that
  // waits.
  std::optional<bool> has_padding;  // some token is padding
  std::optional<bool> shares_rows;  // some row holds more than one document
  at::ScalarType compute =
      at::kFloat;           // type of activations and matrix products; parameters stay as they are
  bool checkpoint = false;  // activation checkpointing: keep a block's input, recompute the rest

  /// Called by mixers for what they compute on the way; lens and statistics read it. The names,
  /// each of one meaning in every mixer that has it:
  ///
  ///   dt       the step before its bias, softplus and limits: (batch, length, d_inner) in mamba1,
  ///            (batch, length, heads) in mamba2
  ///   A        below zero, -exp(A_log): (d_inner, d_state) in mamba1, (heads) in mamba2
  ///   decay    what the state keeps from token to token, in word_ssm: (d_state) in form A, (batch,
  ///            length, d_state) in E; in D the whole transition (batch, length, d_state, d_state)
  ///   B, C     (batch, length, groups, d_state); mamba1 and word_ssm's form C have one group
  ///   q, k, v  queries and keys after the rotation, values, of this call's tokens:
  ///            (batch, length, heads or kv_heads, head_dim); word_ssm's forms A (all three) and E
  ///            (q and v) have one head
  ///   y        what the scan (with its skip D) or the attention gives, before gate, norm and
  ///            out_proj: (batch, length, d_inner) in mamba1, (batch, length, d_model) in
  ///            word_ssm's form B, else (batch, length, heads, head_dim); in D and E the state
  ///            itself, (batch, length, d_state)
  std::function<void(int64_t layer, std::string_view name, const Tensor&)> on_probe;

  // Set by the stack:
  int64_t layer = 0;
  Tensor padding;  // (batch, length, 1) bool: seq_idx < 0; undefined: no token is padding
  void probe(std::string_view name, const Tensor& value) const {
    if (on_probe) on_probe(layer, name, value);
  }
};

/// The recurrent state of one layer, in the order of MixerSpec::states(), each with a leading batch
/// dimension. Empty before the first call; a mixer reads it as its start and replaces it by its
/// end.
using State = std::vector<Tensor>;

}  // namespace adder::nn
