// Rows of a table by token, and the sums of their gradients, on a device. (On the CPU LibTorch's
// own functions do it: ops/embedding.cpp.)
#pragma once

#include "adder/kernels/view.h"

namespace adder::kernels {

/// y[t, :] = weight[tokens[t], :]; NaN for a token that has no row.
struct EmbeddingRows {
  View<2> weight;  // (rows, width) f32, each row dense
  View<1> tokens;  // (tokens) i32
  View<2> y;       // (tokens, width) f32|bf16, each row dense
};

/// grad_weight[v, :] = sum of grad_y[t, :] over the t with tokens[t] = v, from the first to the
/// last within runs of fixed length, then over the runs.
struct EmbeddingGradient {
  View<2> grad_y;       // (tokens, width) f32|bf16, each row dense
  View<1> sorted;       // (tokens) i32, the tokens in ascending order, dense
  View<1> order;        // (tokens) i64, where each of them stands in grad_y, dense
  View<2> grad_weight;  // (rows, width) f32, dense
};

}  // namespace adder::kernels
