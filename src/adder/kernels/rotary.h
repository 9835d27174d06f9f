// Rotary positions (Su et al., arXiv 2104.09864; mamba-core 2.5): pair i of the first `dim`
// dimensions of every head turns by the angle  position * base^(-2i/dim).
//
// A pair is (i, i + dim/2), or (2i, 2i + 1) when interleaved. Angles are in double whatever the
// dtype: exact to 1e-16 of the position, at any that a text can reach.
#pragma once

#include <vector>

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

/// base^(-2i/dim) for each pair; `dim` even. Worth keeping: powers take as long as the turns.
std::vector<double> rotary_frequencies(int64_t dim, double base);

struct RotaryArgs {
  View<3> x;            // (length, heads, head_dim) f64|f32, head_dim contiguous; changed in place
  int64_t first = 0;    // position of the first row; the others follow
  View<1> frequencies;  // (dim / 2) f64, dense: rotary_frequencies; dim <= head_dim
  bool interleaved = false;
};

void rotary(const RotaryArgs& args, const Parallel& parallel);

/// On a device, for training: any positions, and y beside x.
struct RotaryTokens {
  View<4> x;         // (batch, length, heads, head_dim) f32|bf16, head_dim contiguous
  View<4> y;         // as x, with strides of its own
  View<2> position;  // (batch or 1, length) i64
  int64_t dim = 0;   // even, <= head_dim; the dimensions behind are copied
  double base = 10000;
  bool interleaved = false;
  bool inverse = false;  // turns back: the gradient of x from that of y
};

}  // namespace adder::kernels
