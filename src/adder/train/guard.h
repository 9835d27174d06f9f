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
  /// window; the max_skips-th bad step in a row is kStop.
  Verdict judge(double loss, double gradient_norm);

  /// Why the last step was not applied.
  const std::string& reason() const { return reason_; }
  /// Mean of the losses in the window (0 when it is empty).
  double mean() const;

  /// The window, for a checkpoint: resumed training judges as the uninterrupted one.
  io::Json state() const;
  void restore(const io::Json& state);

 private:
  Verdict verdict_of(const std::string& action);

  GuardOptions options_;
  std::deque<double> window_;
  int64_t bad_in_a_row_ = 0;
  std::string reason_;
};

}  // namespace adder::train
