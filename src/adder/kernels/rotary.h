// Rotary positions (Su et al., arXiv 2104.09864; mamba-core 2.5): pair i of the first `dim`
// dimensions of every head turns by the angle  position * base^(-2i/dim).
//
// A pair is (i, i + dim/2), or (2i, 2i + 1) when interleaved. Angles are in double whatever the
// dtype: exact to 1e-16 of the position, at any that a text can reach.
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

struct RotaryArgs {
  View<3> x;          // (length, heads, head_dim) f64|f32, head_dim contiguous; changed in place
  int64_t first = 0;  // position of the first row; the others follow
  int64_t dim = 0;    // even, <= head_dim
  double base = 1e4;
  bool interleaved = false;
};

void rotary(const RotaryArgs& args, const Parallel& parallel);

}  // namespace adder::kernels
