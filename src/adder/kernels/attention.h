// Causal softmax attention of one sequence (Vaswani et al., arXiv 1706.03762), with grouped queries
// (Ainslie et al., arXiv 2305.13245) and a sliding window, for inference. Training takes its own
// from LibTorch.
//
//   y[i,h] = sum_j p[j] v[j,g] / sum_j p[j]    p[j] = exp(scale q[i,h].k[j,g])    g = h kv_heads /
//   heads
//
// over the keys that query i sees: j in (first + i - window, first + i].
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

struct AttentionInputs {
  View<3> q;           // (length, heads, head_dim) f64|f32, head_dim contiguous
  View<3> k, v;        // (keys, kv_heads, head_dim) dtype of q; heads a multiple of kv_heads
  int64_t first = 0;   // which of the keys is the first query's own; first + length <= keys
  int64_t window = 0;  // keys that a query sees, its own included; 0: all up to it
  double scale = 1;
};

/// y (length, heads, head_dim) dtype of q. Sums in f32 (f64 for f64), key block by key block.
void attention(const AttentionInputs& in, const View<3>& y, const Parallel& parallel);

}  // namespace adder::kernels
