// The operators of ops (namespace `adder` in LibTorch's registry) as plain functions,
// differentiable.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace adder::nn {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

/// (y, final_state); shapes in ops/schemas.cpp.
std::tuple<Tensor, Tensor> causal_conv1d(const Tensor& x, const Tensor& weight,
                                         const OptionalTensor& bias,
                                         const OptionalTensor& initial_state,
                                         const OptionalTensor& seq_idx, bool silu);

struct SsdOptions {
  bool dt_softplus = true;
  double dt_min = 0, dt_max = 1e300;
  int64_t chunk_size = 64;
};
/// (y, final_state)
std::tuple<Tensor, Tensor> ssd(const Tensor& x, const Tensor& dt, const Tensor& A, const Tensor& B,
                               const Tensor& C, const OptionalTensor& D, const OptionalTensor& z,
                               const OptionalTensor& dt_bias, const SsdOptions& options,
                               const OptionalTensor& initial_state, const OptionalTensor& seq_idx);

/// (y, last_state)
std::tuple<Tensor, Tensor> selective_scan(const Tensor& u, const Tensor& delta, const Tensor& A,
                                          const Tensor& B, const Tensor& C, const OptionalTensor& D,
                                          const OptionalTensor& z, const OptionalTensor& delta_bias,
                                          bool delta_softplus, const OptionalTensor& initial_state,
                                          const OptionalTensor& seq_idx);

/// (z, final_state); weight and bias in the type of q, or in that of decay: they are cast where
/// they are used.
std::tuple<Tensor, Tensor> word_ssm(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const Tensor& decay, const Tensor& weight,
                                    const OptionalTensor& bias, const OptionalTensor& initial_state,
                                    const OptionalTensor& seq_idx);

/// (y, new_residual)
std::tuple<Tensor, Tensor> rms_norm(const Tensor& x, const Tensor& weight, double eps,
                                    const OptionalTensor& residual, bool residual_in_fp32);

Tensor gated_rms_norm(const Tensor& x, const Tensor& weight, const OptionalTensor& z, double eps,
                      int64_t group_size, bool norm_before_gate);

/// weight[tokens] in `dtype`: (..., width)
Tensor embedding(const Tensor& weight, const Tensor& tokens, at::ScalarType dtype);

/// up silu(gate)
Tensor swiglu(const Tensor& up, const Tensor& gate);

/// The first `dim` channels of the heads x (batch, length, heads, head_dim), turned by `position`
/// (batch or 1, length) i64.
Tensor rotary(const Tensor& x, const Tensor& position, int64_t dim, double base, bool interleaved);

/// project(gated_rms_norm(...), matrix, bias), which keeps less for the backward pass.
Tensor gated_rms_norm_linear(const Tensor& x, const Tensor& weight, const OptionalTensor& z,
                             double eps, int64_t group_size, bool norm_before_gate,
                             const Tensor& matrix, const OptionalTensor& bias);

/// (nll, n_valid); reduction "none" | "sum"; ignored targets are -100.
std::tuple<Tensor, Tensor> linear_cross_entropy(const Tensor& x, const Tensor& weight,
                                                const OptionalTensor& bias, const Tensor& target,
                                                double z_loss, double label_smoothing,
                                                const char* reduction);

/// x W^T + bias in the type of x: parameters are cast where they are used.
Tensor project(const Tensor& x, const Tensor& weight, const OptionalTensor& bias = std::nullopt);

}  // namespace adder::nn
