#include "adder/infer/score.h"

#include <algorithm>
#include <cmath>

#include "adder/base/error.h"

namespace adder::infer {
namespace {

double nats(std::span<const float> logits, int32_t target) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return top + std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(target)]);
}

/// Throws for the first of losses[begin, end) that is not finite.
void check_losses(const std::vector<double>& losses, int64_t begin, int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    const double loss = losses[static_cast<std::size_t>(t)];
    if (std::isfinite(loss)) continue;
    throw Error(ErrorKind::kNumeric,
                {.what = "the loss of token " + std::to_string(t + 1) + " is not finite",
                 .where = "token " + std::to_string(t + 1) + " of the text, counted from 0",
                 .why = std::isnan(loss) ? "its logits are not numbers"
                                         : "the model gives that token no chance at all",
                 .next = "the model's weights are damaged: use an earlier checkpoint, or the "
                         "original file"});
  }
}

/// Reads ids[begin, end) from a new state and puts the loss of ids[t + 1] at losses[t] for t >=
/// from.
void score_window(Model& model, std::span<const int32_t> ids, int64_t begin, int64_t end,
                  int64_t from, std::vector<double>& losses,
                  const std::function<void(int64_t)>& progress) {
  State state = model.new_state();
  const auto vocab = static_cast<std::size_t>(model.vocab_size());
  const auto inputs =
      ids.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
  model.prefill_each(inputs, state, [&](int64_t first, std::span<const float> tile) {
    const auto rows = static_cast<int64_t>(tile.size() / vocab);
    model.parallel().run(rows, 1, [&](int64_t lo, int64_t hi) {
      for (int64_t row = lo; row < hi; ++row) {
        const auto t = static_cast<std::size_t>(begin + first + row);
        if (static_cast<int64_t>(t) < from) continue;
        losses[t] = nats(tile.subspan(static_cast<std::size_t>(row) * vocab, vocab), ids[t + 1]);
      }
    });
    check_losses(losses, std::max(from, begin + first), begin + first + rows);
    if (progress) progress(std::max(from, begin + first + rows));
  });
}

}  // namespace

void ScoreOptions::describe(OptionVisitor& v) {
  v.field("window", window,
          "tokens read from an empty state at most; 0: one state for the whole text");
  v.field("stride", stride, "how far windows stand apart; 0: as far as they are long");
}

void ScoreOptions::check() const {
  if (window < 0 || stride < 0 || stride > window) {
    throw Error(ErrorKind::kConfig,
                {.what = "windows of " + std::to_string(window) + " tokens cannot stand " +
                         std::to_string(stride) + " apart",
                 .where = "stride"});
  }
}

std::vector<double> token_losses(Model& model, std::span<const int32_t> ids,
                                 const ScoreOptions& options,
                                 const std::function<void(int64_t)>& progress) {
  options.check();
  if (ids.size() < 2) return {};
  const auto targets = static_cast<int64_t>(ids.size()) - 1;
  const int32_t last = ids.back();  // never read, so not checked by the model
  if (last < 0 || last >= model.vocab_size()) {
    throw Error(ErrorKind::kUsage,
                {.what = "token " + std::to_string(last) + " is outside the vocabulary"});
  }
  std::vector<double> losses(ids.size() - 1);
  const int64_t window = options.window == 0 ? targets : options.window;
  const int64_t stride = options.stride == 0 ? window : options.stride;
  int64_t scored = 0;
  for (int64_t begin = 0; scored < targets; begin += stride) {
    const int64_t end = std::min(begin + window, targets);
    score_window(model, ids, begin, end, scored, losses, progress);
    scored = end;
  }
  return losses;
}

}  // namespace adder::infer
