// A linear layer at inference: weights borrowed in the type they are stored in.
#pragma once

#include <string>

#include "adder/infer/small_tensor.h"
#include "adder/kernels/view.h"

namespace adder::infer {

class Linear {
 public:
  /// Reads NAME.weight (out, in) and, where there is one, NAME.bias (out) of `weights`.
  Linear(const model::Weights& weights, const std::string& name);

  int64_t in() const { return weight_.shape[1]; }
  int64_t out() const { return weight_.shape[0]; }
  const SmallTensor& bias() const { return bias_; }
  /// (out, in), for products of parts of it.
  kernels::View<2> weight() const;

  /// x W^T + bias. x (rows, in), y (rows, out): f32, the last dimension contiguous.
  void run(const kernels::View<2>& x, const kernels::View<2>& y, const Parallel& parallel) const;
  /// x W^T, for kernels that add the bias themselves.
  void product(const kernels::View<2>& x, const kernels::View<2>& y,
               const Parallel& parallel) const;

 private:
  model::TensorView weight_;
  SmallTensor bias_;
};

}  // namespace adder::infer
