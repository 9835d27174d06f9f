// The operators in plain LibTorch tensors with LibTorch's own gradients: what a user would write,
// and what Adder's operators are measured against. Tests compare the values too.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>

namespace adder::eval {

using at::Tensor;

/// The chunked scan of Mamba-2 (mamba-core 1.5) with one group: x (batch, length, heads, head_dim),
/// dt (batch, length, heads) before softplus, dt_bias, A, D (heads), B and C (batch, length, 1,
/// state). length must be a multiple of `chunk`. -> y as x, and the final state (batch, heads,
/// head_dim, state).
std::pair<Tensor, Tensor> plain_ssd(const Tensor& x, const Tensor& dt, const Tensor& A,
                                    const Tensor& B, const Tensor& C, const Tensor& D,
                                    const Tensor& dt_bias, int64_t chunk);

/// The selective scan of Mamba-1 (mamba-core 1.3), token after token, with one group: u and delta
/// (batch, length, channels), A (channels, state), B and C (batch, length, 1, state), D and
/// delta_bias (channels). -> y as u, and the last state (batch, channels, state).
std::pair<Tensor, Tensor> plain_selective_scan(const Tensor& u, const Tensor& delta,
                                               const Tensor& A, const Tensor& B, const Tensor& C,
                                               const Tensor& D, const Tensor& delta_bias);

/// Form A of YS-71M (ys-71m 6.1), token after token: q and k (batch, length, columns), v (batch,
/// length, width), decay (columns), weight (outputs, columns * width), bias (outputs). The state is
/// fp32, what is read of it has the type of q and exists for every token. -> z (batch, length,
/// outputs), and the final state (batch, columns, width).
std::pair<Tensor, Tensor> plain_word_ssm(const Tensor& q, const Tensor& k, const Tensor& v,
                                         const Tensor& decay, const Tensor& weight,
                                         const Tensor& bias);

/// x (batch, length, channels), weight (channels, width), bias (channels); with SiLU.
Tensor plain_causal_conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias);

/// (norm(x + residual), x + residual)
std::pair<Tensor, Tensor> plain_rms_norm(const Tensor& x, const Tensor& weight, double eps,
                                         const Tensor& residual);
/// norm(x silu(z))
Tensor plain_gated_rms_norm(const Tensor& x, const Tensor& weight, const Tensor& z, double eps);

/// The summed cross-entropy of x W^T; the logits exist whole.
Tensor plain_linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& target);

/// One token of the scan; `state` is replaced: x (batch, heads, head_dim), dt (batch, heads), B and
/// C (batch, 1, state).
Tensor plain_ssd_update(Tensor& state, const Tensor& x, const Tensor& dt, const Tensor& A,
                        const Tensor& B, const Tensor& C, const Tensor& D, const Tensor& dt_bias);

}  // namespace adder::eval
