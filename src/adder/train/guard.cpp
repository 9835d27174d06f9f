#include "adder/train/guard.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <numeric>

namespace adder::train {

Verdict LossGuard::verdict_of(const std::string& action) {
  ++left_out_;
  if (action == "stop" || ++bad_in_a_row_ >= options_.max_skips) return Verdict::kStop;
  if (action == "rollback") return Verdict::kRollBack;
  skip();
  return Verdict::kSkip;
}

/// `times`: bad steps in a row, or roll-backs to one checkpoint.
void LossGuard::halve_at(int64_t times) {
  if (options_.halve_lr_after == 0 || times % options_.halve_lr_after != 0) return;
  lr_factor_ /= 2;
  reason_ += fmt::format(
      ", {} times in a row: the learning rate is halved, to {:g} of "
      "what the schedule says",
      times, lr_factor_);
}

double LossGuard::deviation() const {
  const double centre = mean();
  double variance = 0;
  for (const double value : window_) variance += (value - centre) * (value - centre);
  return std::sqrt(variance / static_cast<double>(window_.size()));
}

double LossGuard::limit() const {
  if (options_.on_spike == "ignore" || window_.size() < kWindow)
    return std::numeric_limits<double>::infinity();
  return mean() + options_.spike_sigma * deviation();
}

Verdict LossGuard::judge(double loss, double gradient_norm) {
  if (!std::isfinite(loss) || !std::isfinite(gradient_norm)) {
    reason_ = fmt::format("the loss is {}, the gradient norm {}", loss, gradient_norm);
    return verdict_of(options_.on_nan);
  }
  if (loss > limit()) {
    reason_ = fmt::format(
        "the loss {:.4f} is {:.1f} deviations above the mean {:.4f} of the last {} steps", loss,
        (loss - mean()) / deviation(), mean(), kWindow);
    return verdict_of(options_.on_spike);
  }
  bad_in_a_row_ = 0;
  window_.push_back(loss);
  if (window_.size() > kWindow) window_.pop_front();
  return Verdict::kApply;
}

double LossGuard::mean(size_t count) const {
  count = std::min(count, window_.size());
  if (count == 0) return 0;
  return std::accumulate(window_.end() - static_cast<int64_t>(count), window_.end(), 0.0) /
         static_cast<double>(count);
}

io::Json LossGuard::state() const {
  return {{"window", window_},
          {"bad_in_a_row", bad_in_a_row_},
          {"left_out", left_out_},
          {"lr_factor", lr_factor_}};
}

void LossGuard::restore(const io::Json& state) {
  window_ = state.at("window").get<std::deque<double>>();
  bad_in_a_row_ = state.at("bad_in_a_row").get<int64_t>();
  left_out_ = state.value("left_out", int64_t{0});  // checkpoints of 0.1 lack these
  lr_factor_ = state.value("lr_factor", 1.0);
}

void LossGuard::roll_back(const io::Json& state, int64_t times) {
  const auto left_out = left_out_;
  const double lr_factor = lr_factor_;
  restore(state);
  left_out_ = left_out;
  lr_factor_ = lr_factor;
  halve_at(times);
}

}  // namespace adder::train
