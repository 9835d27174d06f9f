#include "adder/train/guard.h"

#include <fmt/format.h>

#include <cmath>
#include <numeric>

namespace adder::train {

Verdict LossGuard::verdict_of(const std::string& action) {
  if (action == "stop" || ++bad_in_a_row_ >= options_.max_skips) return Verdict::kStop;
  return action == "rollback" ? Verdict::kRollBack : Verdict::kSkip;
}

Verdict LossGuard::judge(double loss, double gradient_norm) {
  if (!std::isfinite(loss) || !std::isfinite(gradient_norm)) {
    reason_ = fmt::format("the loss is {}, the gradient norm {}", loss, gradient_norm);
    return verdict_of(options_.on_nan);
  }
  if (options_.on_spike != "ignore" && window_.size() == kWindow) {
    const double centre = mean();
    double variance = 0;
    for (const double value : window_) variance += (value - centre) * (value - centre);
    const double deviation = std::sqrt(variance / static_cast<double>(window_.size()));
    if (loss > centre + options_.spike_sigma * deviation) {
      reason_ = fmt::format(
          "the loss {:.4f} is {:.1f} deviations above the mean {:.4f} of the last {} steps", loss,
          (loss - centre) / deviation, centre, kWindow);
      return verdict_of(options_.on_spike);
    }
  }
  bad_in_a_row_ = 0;
  window_.push_back(loss);
  if (window_.size() > kWindow) window_.pop_front();
  return Verdict::kApply;
}

double LossGuard::mean() const {
  if (window_.empty()) return 0;
  return std::accumulate(window_.begin(), window_.end(), 0.0) / static_cast<double>(window_.size());
}

io::Json LossGuard::state() const {
  return {{"window", window_}, {"bad_in_a_row", bad_in_a_row_}};
}

void LossGuard::restore(const io::Json& state) {
  window_ = state.at("window").get<std::deque<double>>();
  bad_in_a_row_ = state.at("bad_in_a_row").get<int64_t>();
}

}  // namespace adder::train
