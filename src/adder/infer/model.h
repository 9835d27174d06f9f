// A model that reads tokens one after another, without LibTorch: prefill (many tokens of one
// sequence) and step (one token of many sequences). Weights are borrowed: from a memory-mapped
// directory or from a trainer.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "adder/base/parallel.h"
#include "adder/infer/state.h"
#include "adder/model/directory.h"

namespace adder::infer {

class Mixer;

/// Thread-compatible: one call at a time on one Model; several Models may share weights. Token ids
/// outside [0, vocab_size) are kUsage, spans or states of the wrong size kShape. A state
/// that was in a call that threw has read part of its tokens in some layers only: go back to a copy
/// or a mark, or drop it.
class Model {
 public:
  /// Borrows the weights: they must outlive the model unchanged (a trainer that has moved on makes
  /// a new model over its tensors, which costs no copy of them).
  Model(const model::ModelConfig& config, const model::Weights& weights, const Parallel& parallel);
  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  const model::ModelConfig& config() const;
  const model::Weights& weights() const;
  const Parallel& parallel() const;
  int64_t vocab_size() const;

  State new_state() const;
  /// Throws kShape unless `state` has the layout of new_state().
  void check_state(const State& state) const;

  /// Reads `tokens` (any number >= 1) and leaves the logits after the last one in `logits`
  /// (vocab_size).
  void prefill(std::span<const int32_t> tokens, State& state, std::span<float> logits);

  /// Reads `tokens` and gives the logits after each, in order, in tiles of whole rows, so that the
  /// logits of a long text never exist whole: `take(first, tile)` with tile (rows, vocab_size) for
  /// the positions from `first` on.
  using TakeLogits = std::function<void(int64_t first, std::span<const float> tile)>;
  void prefill_each(std::span<const int32_t> tokens, State& state, const TakeLogits& take);

  /// One token for each of states.size() sequences; logits (states.size(), vocab_size).
  void step(std::span<const int32_t> tokens, std::span<State* const> states,
            std::span<float> logits);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace adder::infer
