// What a block's training forward (nn) keeps and needs, as data: read off nn/NAME.cpp operator by
// operator, a line in plan_mixers.cpp for each kind of mixer.
#pragma once

#include <cstdint>

#include "adder/model/config.h"

namespace adder::train {

/// How a batch is computed.
struct PlanShape {
  int64_t batch = 1, length = 1;
  int64_t element = 4;  // bytes of an activation: 4 or 2
  int64_t threads = 1;
  bool out_proj_adapted = false;  // by low-rank adapters
  double tokens() const { return static_cast<double>(batch) * static_cast<double>(length); }
};

/// Bytes.
struct BlockMemory {
  double kept = 0;     // from forward to backward, beside the block's input and first norm
  double weights = 0;  // copies of its matrices in the compute type
  double working = 0;  // at the peak of its backward pass, beside what is kept
  double scan = 0;     // of `working`, what the scan's kernels take for themselves
};

/// Of the mixer of `layer` and the MLP after it, if any. Throws kUnsupported for a kind of mixer
/// that has no line yet.
BlockMemory block_memory(const model::ModelConfig& config, int64_t layer, const PlanShape& shape);

}  // namespace adder::train
