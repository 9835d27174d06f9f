// Watches losses: values that are not finite, and spikes above the recent range (the idea of
// llm.c's outlier detector: a z-score over a sliding window).
#pragma once

#include <deque>

#include "adder/io/json.h"
#include "adder/train/options.h"

namespace adder::train {

enum class Verdict { kApply, kSkip, kRollBack, kStop };

class LossGuard {
 public:
  static constexpr size_t kWindow = 128;

  explicit LossGuard(const GuardOptions& options) : options_(options) {}

  /// What to do with a step of this loss and gradient norm. A loss that is applied joins the
  /// window; each halve_lr_after-th skipped step in a row halves the learning rate, the
  /// max_skips-th bad one is kStop.
  Verdict judge(double loss, double gradient_norm);

  /// The loss above which judge() calls a step a spike; infinity where none is.
  double limit() const;

  /// Where judge() said kRollBack and there is nothing to go back to: goes on as after kSkip.
  void skip() { halve_at(bad_in_a_row_); }

  /// Why the last step was not applied.
  const std::string& reason() const { return reason_; }
  /// Mean of the last `count` losses in the window, or of as many as it has (0 when it is empty).
  double mean(size_t count = kWindow) const;
  /// Losses in the window.
  size_t seen() const { return window_.size(); }

  /// What the learning rate is multiplied with: 1, 1/2, 1/4, ...
  double lr_factor() const { return lr_factor_; }
  /// Steps that were not applied since the start of the run.
  int64_t left_out() const { return left_out_; }

  /// For a checkpoint: resumed training judges as the uninterrupted one.
  io::Json state() const;
  void restore(const io::Json& state);
  /// After going back to a checkpoint, for the `times`-th time in a row to that one: the window of
  /// then, but the count of bad steps and the rate stay; each halve_lr_after-th time halves it.
  void roll_back(const io::Json& state, int64_t times);

 private:
  Verdict verdict_of(const std::string& action);
  void halve_at(int64_t times);
  double deviation() const;  // of the window

  GuardOptions options_;
  std::deque<double> window_;
  int64_t bad_in_a_row_ = 0, left_out_ = 0;
  double lr_factor_ = 1;
  std::string reason_;
};

}  // namespace adder::train
