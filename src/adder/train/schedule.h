// The learning rate at each step.
#pragma once

#include "adder/train/options.h"

namespace adder::train {

/// Factor of the peak rate for step `step` (0 for the first) of `steps`. Warm-up: (step + 1) /
/// warmup_steps. cosine: from 1 to final_lr over the rest, reached at the last step. wsd (Hu et
/// al., arXiv 2404.06395): 1, then linearly to final_lr over the last decay_fraction. constant: 1.
double learning_rate_factor(const ScheduleOptions& options, int64_t step, int64_t steps);

}  // namespace adder::train
