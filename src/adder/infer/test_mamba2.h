// Mamba-2 as plain loops in double (mamba-core 1.5, 1.6, 2.2).
#pragma once

#include "adder/infer/test_random_model.h"
#include "adder/model/mamba2_spec.h"

namespace adder::infer::testing_support {

/// Gate and norm, and the gated MLP of the channels that pass no SSM before it.
inline Row finish_mamba2(Row y, const double* z, const Row& proj, int64_t mlp, const Row& weight,
                         const model::Mamba2Spec& spec) {
  const auto d_ssm = static_cast<int64_t>(y.size());
  const auto group =
      static_cast<std::size_t>(spec.norm_group == "full" ? d_ssm : d_ssm / spec.n_groups);
  if (spec.gated_norm == "before") y = norm(y, weight, spec.norm_eps, group);
  for (int64_t i = 0; i < d_ssm; ++i) y[i] *= silu(z[i]);
  if (spec.gated_norm == "after") y = norm(y, weight, spec.norm_eps, group);
  Row joined(static_cast<std::size_t>(mlp));
  for (int64_t i = 0; i < mlp; ++i) joined[i] = silu(proj[i]) * proj[mlp + i];
  joined.insert(joined.end(), y.begin(), y.end());
  return joined;
}

inline Rows naive_mamba2(const RandomModel& source, const Rows& input, const std::string& p) {
  const auto& spec = static_cast<const model::Mamba2Spec&>(source.config.mixers.at("mamba2"));
  const int64_t d_inner = spec.expand * source.config.d_model;
  const int64_t d_ssm = spec.d_ssm > 0 ? spec.d_ssm : d_inner, mlp = d_inner - d_ssm;
  const int64_t N = spec.d_state, P = spec.head_dim, H = d_ssm / P, G = spec.n_groups;
  const int64_t conv_dim = d_ssm + 2 * G * N;
  const Row dt_bias = source.get(p + "dt_bias"), A_log = source.get(p + "A_log"),
            D = source.get(p + "D");
  Row S = source.has(p + "init_states") ? source.get(p + "init_states")
                                        : Row(static_cast<std::size_t>(H * P * N), 0.0);
  Rows projected, before_conv, out;
  for (const Row& u : input) {
    const Row& proj = projected.emplace_back(source.linear(u, p + "in_proj"));
    const double* xBC = proj.data() + 2 * mlp + d_ssm;
    before_conv.emplace_back(xBC, xBC + conv_dim);
  }
  const Rows convolved = source.convolution(before_conv, p + "conv1d");
  for (std::size_t t = 0; t < input.size(); ++t) {
    const Row& proj = projected[t];
    const double* z = proj.data() + 2 * mlp;
    const double* dt = z + d_ssm + conv_dim;
    Row xBC = convolved[t];
    for (double& value : xBC) value = silu(value);
    Row y(static_cast<std::size_t>(d_ssm));
    for (int64_t h = 0; h < H; ++h) {
      const double raw = dt[h] + dt_bias[h];
      const double delta =
          std::min(std::max(std::log1p(std::exp(raw)), spec.dt_limit_min), spec.dt_limit_max);
      const double* B = xBC.data() + d_ssm + (h * G / H) * N;
      const double* C = B + G * N;
      for (int64_t q = 0; q < P; ++q) {
        const double x = xBC[h * P + q];
        double sum = (spec.D_has_head_dim ? D[h * P + q] : D[h]) * x;
        for (int64_t n = 0; n < N; ++n) {
          double& s = S[(h * P + q) * N + n];
          s = std::exp(-std::exp(A_log[h]) * delta) * s + delta * x * B[n];
          sum += s * C[n];
        }
        y[h * P + q] = sum;
      }
    }
    const Row weight = source.has(p + "norm.weight") ? source.get(p + "norm.weight") : Row();
    out.push_back(source.linear(finish_mamba2(y, z, proj, mlp, weight, spec), p + "out_proj"));
  }
  return out;
}

}  // namespace adder::infer::testing_support
