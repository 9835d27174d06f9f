// Causal attention of training steps on Hopper: cuDNN's forward pass, a third faster than the flash
// attention that LibTorch takes where sums must be repeatable, and that one's backward pass.
// (cuDNN's own adds up in no fixed order.)
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace adder::ops {

using at::Tensor;

/// q, k and v (batch, length, heads, head_dim) -> as q; scale is that of q.k. Nothing where it does
/// not take them: no gradient is wanted, they are no bf16 of a Hopper device, short, or of unlike
/// numbers of heads. cuDNN prepares itself for each shape: not for sequences of all lengths.
std::optional<Tensor> causal_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                       double scale);

}  // namespace adder::ops
