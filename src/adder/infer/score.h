// How surprised a model is by a text, token by token. The mean's exponential is the perplexity.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "adder/infer/model.h"

namespace adder::infer {

struct ScoreOptions {
  int64_t window =
      0;  // tokens read from an empty state at most; 0: one state carried through the whole text
  int64_t stride = 0;  // how far windows stand apart, 1 to `window`; 0: `window`. Each token is
                       // scored once, in the first window that reaches it
  void describe(OptionVisitor& v);
  /// Throws kConfig.
  void check() const;
};

/// Nats of ids[1], ids[2], ...: -log softmax(logits)[id], the sum of exponentials in double.
/// ids.size() - 1 values. Throws kNumeric naming the first token whose loss is not finite.
/// `progress` is told how many are done, tile by tile.
std::vector<double> token_losses(Model& model, std::span<const int32_t> ids,
                                 const ScoreOptions& options = {},
                                 const std::function<void(int64_t done)>& progress = {});

}  // namespace adder::infer
