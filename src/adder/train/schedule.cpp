#include "adder/train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace adder::train {

double learning_rate_factor(const ScheduleOptions& options, int64_t step, int64_t steps) {
  if (step < options.warmup_steps) {
    return static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps);
  }
  const double floor = options.final_lr;
  if (options.schedule == "cosine") {
    const double span = static_cast<double>(std::max<int64_t>(1, steps - 1 - options.warmup_steps));
    const double done = std::min(1.0, static_cast<double>(step - options.warmup_steps) / span);
    return floor + (1 - floor) * 0.5 * (1 + std::cos(std::numbers::pi * done));
  }
  if (options.schedule == "wsd") {
    const double decay = std::max(1.0, options.decay_fraction * static_cast<double>(steps));
    const double left = static_cast<double>(steps - 1 - step);
    return floor + (1 - floor) * std::clamp(left / decay, 0.0, 1.0);
  }
  return 1;
}

}  // namespace adder::train
