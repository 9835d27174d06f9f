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

/// -log softmax(logits)[target] in nats, the sum of exponentials in double.
double nats(std::span<const float> logits, int32_t target);

/// Scores texts that come in pieces: neither the text nor its losses exist whole. Memory is that of
/// one piece, and of a window.
class TextScorer {
 public:
  /// Gets the nats of each token but the first of a text, in order, tile by tile.
  using TakeLosses = std::function<void(std::span<const double>)>;

  /// `model` must outlive this.
  TextScorer(Model& model, const ScoreOptions& options, TakeLosses take);

  /// The next tokens of the text, any number. Throws kUsage for an id outside the vocabulary, and
  /// kNumeric naming the first token whose loss is not finite.
  void read(std::span<const int32_t> ids);
  /// The text ends: what waited for the rest of a window is scored. The next read() begins another
  /// text with an empty state.
  void finish();

 private:
  void score(std::span<const int32_t> ids);

  Model& model_;
  int64_t window_, stride_;
  TakeLosses take_;
  State state_;
  std::vector<int32_t> ids_;    // those of the text from first_ on that will be needed again
  int64_t first_ = 0;           // position of ids_[0] in the text
  int64_t scored_ = 0;          // targets whose loss was given away
  std::vector<double> losses_;  // of one tile
};

/// Nats of ids[1], ids[2], ...: ids.size() - 1 values. Errors as TextScorer's. `progress` is told
/// how many are done, tile by tile.
std::vector<double> token_losses(Model& model, std::span<const int32_t> ids,
                                 const ScoreOptions& options = {},
                                 const std::function<void(int64_t done)>& progress = {});

}  // namespace adder::infer
