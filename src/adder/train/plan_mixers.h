// What a mixer's training forward (nn) keeps and needs, as data: read off nn/NAME.cpp operator by
// operator, a line in plan_mixers.cpp for each kind.
#pragma once

#include <cstdint>

#include "adder/model/config.h"

namespace adder::train {

/// How a batch is computed.
struct PlanShape {
  int64_t batch = 1, length = 1;
  int64_t element = 4;  // bytes of an activation: 4 or 2
  int64_t threads = 1;
  double tokens() const { return static_cast<double>(batch) * static_cast<double>(length); }
};

/// Bytes.
struct MixerMemory {
  double kept = 0;     // from forward to backward, beside the mixer's input and output
  double weights = 0;  // copies of its matrices in the compute type
  double working = 0;  // at the peak of its backward pass, beside what is kept
  double scan = 0;     // of `working`, what the scan's kernels take for themselves
};

/// Throws kUnsupported for a kind that has no line yet.
MixerMemory mixer_memory(const model::ModelConfig& config, int64_t layer, const PlanShape& shape);

}  // namespace adder::train
