// Multiple-choice and cloze tasks, scored as the common harness (lm-evaluation-harness 0.4.13)
// does.
#pragma once

#include <optional>

#include "adder/eval/likelihood.h"
#include "adder/eval/task_items.h"
#include "adder/io/json.h"

namespace adder::eval {

/// What one multiple-choice item came to: which choice is the likeliest, by the sum of its tokens'
/// log-probabilities, by that sum / its characters (code points, without the delimiter), / its
/// bytes.
struct ChoiceResult {
  int64_t gold = 0;
  std::vector<Likelihood> choices;
  int64_t best = 0, best_norm = 0, best_bytes = 0;  // the first of equals
};
ChoiceResult answer(infer::Model& model, const text::Tokenizer& tokenizer, const ChoiceItem& item,
                    std::optional<int32_t> start);

/// Of one cloze item: right when every token of the target was the most likely one.
Likelihood answer(infer::Model& model, const text::Tokenizer& tokenizer, const ClozeItem& item,
                  std::optional<int32_t> start);

/// The figures of a file: both kinds of items may stand in it.
class TaskScores {
 public:
  void add(const ChoiceResult& result);
  void add(const Likelihood& cloze);

  int64_t items() const { return choices_ + static_cast<int64_t>(clozes_.size()); }

  /// {"choices": {"items", "acc", "acc_stderr", "acc_norm", "acc_norm_stderr", "acc_bytes",
  /// "acc_bytes_stderr"}, "cloze": {"items", "acc", "acc_stderr", "perplexity",
  /// "perplexity_stderr"}}; a kind without items is left out. Errors of shares: sqrt(p (1 - p) / (n
  /// - 1)); null for one item. perplexity = exp(-mean of the targets' log-probabilities), as
  /// LAMBADA is scored: of whole targets, not of tokens; its error is to first order: perplexity
  /// times that of the mean.
  io::Json to_json() const;

 private:
  int64_t choices_ = 0;
  int64_t right_ = 0, right_norm_ = 0, right_bytes_ = 0;
  std::vector<double> clozes_;  // log-probabilities
  int64_t right_clozes_ = 0;
};

/// For a file of results, one line an item.
io::Json item_json(const ChoiceResult& result);
io::Json item_json(const Likelihood& cloze);

}  // namespace adder::eval
