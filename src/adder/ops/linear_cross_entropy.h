// What linear_cross_entropy checks and knows of its arguments, on every device.
#pragma once

#include <c10/util/string_view.h>

#include "adder/kernels/cross_entropy.h"
#include "adder/ops/view.h"

namespace adder::ops {

struct LinearCrossEntropyArguments {
  Tensor x, weight;     // (T, d), (V, d); on a device weight may be f32 beside a bf16 x
  OptionalTensor bias;  // (V)
  Tensor target;        // (T) i64
  kernels::CrossEntropyOptions options;

  at::ScalarType loss_type() const { return wide(x.scalar_type()); }

  void check(c10::string_view reduction) const;
};

}  // namespace adder::ops
