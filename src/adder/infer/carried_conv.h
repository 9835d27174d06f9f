// A causal convolution whose last inputs are carried from call to call (mamba-core 1.1, 1.2): what
// every mixer that has one does before its scan.
#pragma once

#include <string>

#include "adder/infer/arena.h"
#include "adder/infer/small_tensor.h"
#include "adder/kernels/view.h"

namespace adder::infer {

class CarriedConv {
 public:
  /// Reads NAME.weight (channels, 1, taps) and, where there is one, NAME.bias (channels). `silu`:
  /// apply it to the result.
  CarriedConv(const model::Weights& weights, const std::string& name, bool silu);

  int64_t channels() const { return channels_; }

  /// x (length, channels) with the last dimension contiguous -> y (length, channels), dense.
  /// `state` (taps - 1, channels): the inputs before x, replaced by the last ones; with one tap it
  /// is not read and may be null.
  void prefill(const kernels::View<2>& x, float* state, float* y, Arena& arena,
               const Parallel& parallel) const;
  /// One row: x, y (channels).
  void step(const float* x, float* state, float* y, const Parallel& parallel) const;

 private:
  kernels::View<2> taps() const;

  int64_t channels_, taps_;
  bool silu_;
  SmallTensor weight_, bias_;
};

}  // namespace adder::infer
