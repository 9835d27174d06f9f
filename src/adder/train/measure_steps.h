// How fast a device trains a model: whole steps, as a run makes them, on random tokens.
#pragma once

#include <cstdint>
#include <vector>

#include "adder/model/config.h"
#include "adder/train/accelerator.h"

namespace adder::train {

struct StepShape {
  int64_t batch = 1, length = 1;
};

struct StepMeasure {
  std::vector<double> seconds;  // of each step, from one report to the next
  int64_t peak_bytes = 0;       // the most memory that tensors held on the device
};

/// Makes the model, warms up, and takes `steps` steps of forward, backward, clipping and AdamW in
/// bf16 over fp32 weights, recorded once and replayed.
StepMeasure measure_steps(const model::ModelConfig& config, const StepShape& shape, int64_t steps,
                          Accelerator& accelerator);

}  // namespace adder::train
