// The row pass of linear_cross_entropy: one tile of logits in, losses out, and the tile turned into
// its own gradient in place (mamba-core 1.8). The caller makes the tile with a matrix product, so
// that the logits of a whole batch never exist.
//
//   s    = softcap tanh(logit / softcap), or the logit itself when softcap is 0
//   lse  = log sum_j exp(s_j)
//   nll  = lse - (1 - label_smoothing) s_target - (label_smoothing / V) sum_j s_j + z_loss lse^2
#pragma once

#include "adder/base/parallel.h"
#include "adder/kernels/view.h"

namespace adder::kernels {

struct CrossEntropyOptions {
  int64_t ignore_index = -100;
  double z_loss = 0, label_smoothing = 0, softcap = 0;
};

/// logits (rows, vocab) f64|f32, dense; target (rows) i64; nll (rows) dtype of logits: 0 where
/// ignored. target must be ignore_index or in [0, vocab): the caller has checked it.
void cross_entropy_rows(const View<2>& logits, const View<1>& target, const View<1>& nll,
                        const CrossEntropyOptions& options, const Parallel& parallel);

/// Overwrites logits with scale[r] * d nll[r] / d logits[r, :]; rows with an ignored target become
/// 0.
void cross_entropy_rows_backward(const View<2>& logits, const View<1>& target, const View<1>& scale,
                                 const CrossEntropyOptions& options, const Parallel& parallel);

/// The same on a device: losses and, if asked for, gradients in one pass over the tile. Any stride
/// between rows; rows that begin at multiples of 16 bytes are the fast ones.
struct CrossEntropyTile {
  View<2> logits;   // (rows, vocab) f32|bf16, each row dense
  View<1> target;   // (rows) i64; neither ignore_index nor in [0, vocab): nll is NaN
  View<1> nll;      // (rows) f32
  View<2> dlogits;  // scale[r] d nll[r] / d logits[r, :], (rows, vocab) f32|bf16, each row dense; 0
                    // where ignored; optional; may be logits itself where the types are one
  View<1> scale;    // (rows) f32; optional: 1
  CrossEntropyOptions options;
};

}  // namespace adder::kernels
