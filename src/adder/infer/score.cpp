#include "adder/infer/score.h"

#include <algorithm>
#include <cmath>

#include "adder/base/error.h"

namespace adder::infer {
namespace {

/// Throws for the first of `losses` that is not finite; they are of the tokens from `first` on.
void check_losses(std::span<const double> losses, int64_t first) {
  for (const double loss : losses) {
    const std::string token = "token " + std::to_string(first++);
    if (std::isfinite(loss)) continue;
    throw Error(ErrorKind::kNumeric,
                {.what = "the loss of " + token + " is not finite",
                 .where = token + " of the text, counted from 0",
                 .why = std::isnan(loss) ? "its logits are not numbers"
                                         : "the model gives that token no chance at all",
                 .next = "the model's weights are damaged: use an earlier checkpoint, or the "
                         "original file"});
  }
}

}  // namespace

double nats(std::span<const float> logits, int32_t target) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return top + std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(target)]);
}

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

TextScorer::TextScorer(Model& model, const ScoreOptions& options, TakeLosses take)
    : model_(model),
      window_(options.window),
      stride_(options.stride == 0 ? options.window : options.stride),
      take_(std::move(take)),
      state_(model.new_state()) {
  options.check();
}

void TextScorer::read(std::span<const int32_t> ids) {
  for (const int32_t id : ids) {  // the last one of a text is never read by the model
    if (id >= 0 && id < model_.vocab_size()) continue;
    throw Error(ErrorKind::kUsage,
                {.what = "token " + std::to_string(id) + " is outside the vocabulary"});
  }
  ids_.insert(ids_.end(), ids.begin(), ids.end());
  const std::span<const int32_t> all(ids_);
  std::size_t used = 0;
  if (window_ == 0) {
    if (all.size() > 1) score(all);
    used = all.empty() ? 0 : all.size() - 1;
    first_ += static_cast<int64_t>(used);
  } else {
    const auto window = static_cast<std::size_t>(window_);
    const auto stride = static_cast<std::size_t>(stride_);
    for (; all.size() - used > window; used += stride, first_ += stride_) {
      state_ = model_.new_state();
      score(all.subspan(used, window + 1));
    }
  }
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(used));
}

void TextScorer::finish() {
  const auto targets = first_ + static_cast<int64_t>(ids_.size()) - 1;
  state_ = model_.new_state();
  if (window_ > 0 && targets > scored_) score(ids_);
  state_ = model_.new_state();
  ids_.clear();
  first_ = scored_ = 0;
}

/// Reads all `ids` but the last into state_, and gives away the losses of their successors that are
/// not yet scored. `ids` begin at first_.
void TextScorer::score(std::span<const int32_t> ids) {
  const auto vocab = static_cast<std::size_t>(model_.vocab_size());
  model_.prefill_each(
      ids.first(ids.size() - 1), state_, [&](int64_t first, std::span<const float> tile) {
        const auto rows = static_cast<int64_t>(tile.size() / vocab);
        const int64_t skip = std::clamp<int64_t>(scored_ - first_ - first, 0, rows);
        losses_.resize(static_cast<std::size_t>(rows - skip));
        model_.parallel().run(rows - skip, 1, [&](int64_t lo, int64_t hi) {
          for (int64_t i = lo; i < hi; ++i) {
            const auto row = static_cast<std::size_t>(skip + i);
            losses_[static_cast<std::size_t>(i)] = nats(
                tile.subspan(row * vocab, vocab), ids[static_cast<std::size_t>(first) + row + 1]);
          }
        });
        if (losses_.empty()) return;
        check_losses(losses_, scored_ + 1);
        take_(losses_);
        scored_ += rows - skip;
      });
}

std::vector<double> token_losses(Model& model, std::span<const int32_t> ids,
                                 const ScoreOptions& options,
                                 const std::function<void(int64_t)>& progress) {
  std::vector<double> losses;
  TextScorer scorer(model, options, [&](std::span<const double> tile) {
    losses.insert(losses.end(), tile.begin(), tile.end());
    if (progress) progress(static_cast<int64_t>(losses.size()));
  });
  scorer.read(ids);
  scorer.finish();
  return losses;
}

}  // namespace adder::infer
