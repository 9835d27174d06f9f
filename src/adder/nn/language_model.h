// A language model for training: token embedding, a stack of blocks (with a norm before each branch
// or none, adding to a residual stream or replacing what they read), final norm, head with its
// loss.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "adder/model/lora.h"
#include "adder/nn/context.h"
#include "adder/nn/mixer.h"
#include "adder/nn/mlp.h"
#include "adder/nn/parameters.h"

namespace adder::nn {

class LanguageModel {
 public:
  /// Parameters are made and initialised from `seed`; with `lora.rank` also adapters, which alone
  /// are trained then. `start`: the values to begin with (of an open model::ModelDirectory).
  LanguageModel(const model::ModelConfig& config, uint64_t seed,
                const model::LoraOptions& lora = {}, const model::Weights* start = nullptr,
                const Placement& placement = {});

  /// tokens (batch, length) i32 or i64 -> hidden (batch, length, d_readout), after the final norm,
  /// in the context's compute type. `carried`: one State a layer (empty: nothing read yet),
  /// replaced; or nullptr.
  Tensor forward(const Tensor& tokens, Context& context,
                 std::vector<State>* carried = nullptr) const;

  /// hidden (..., d_readout) -> logits (..., vocab_size)
  Tensor logits(const Tensor& hidden) const;

  struct Loss {
    Tensor nll_sum;  // scalar, nats
    Tensor n_valid;  // scalar i64: targets that are not -100
  };
  /// Cross-entropy of the head over hidden (batch, length, d_readout) and targets (batch, length)
  /// i64.
  Loss loss(const Tensor& hidden, const Tensor& targets, double z_loss = 0,
            double label_smoothing = 0) const;

  const model::ModelConfig& config() const { return config_; }
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  /// What an optimiser changes: the adapters where there are some, else all parameters.
  Parameters& trained() { return adapters_ ? *adapters_ : parameters_; }
  const Parameters& trained() const { return adapters_ ? *adapters_ : parameters_; }

 private:
  struct Block {
    std::optional<Tensor> norm_weight;  // nothing: no norm
    std::unique_ptr<Mixer> mixer;
    std::optional<Tensor> mlp_norm_weight;
    std::optional<Mlp> mlp;
    std::vector<Tensor> parameters;  // those of the block that are trained, for recomputation
  };
  /// (hidden, residual) -> (mixer(norm(hidden + residual)), hidden + residual), and the same once
  /// more with the MLP where there is one. At padding both add 0. Without a residual stream that
  /// part is nothing and stays undefined.
  std::pair<Tensor, Tensor> run_block(const Block& block, const Tensor& hidden,
                                      const Tensor& residual, Context& context,
                                      State* carried) const;
  /// norm(x + residual) and x + residual; `residual` may be undefined, `weight` nothing (no norm).
  std::pair<Tensor, Tensor> add_and_norm(const Tensor& x, const Tensor& residual,
                                         const std::optional<Tensor>& weight) const;
  const Tensor& head() const;

  model::ModelConfig config_;
  Parameters parameters_;
  std::optional<Parameters> adapters_;
  std::vector<Block> blocks_;
};

}  // namespace adder::nn
