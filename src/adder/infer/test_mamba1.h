// Mamba-1 as plain loops in double (mamba-core 1.3, 2.1).
#pragma once

#include "adder/infer/test_random_model.h"
#include "adder/model/mamba1_spec.h"

namespace adder::infer::testing_support {

inline Rows naive_mamba1(const RandomModel& source, const Rows& input, const std::string& p) {
  const auto& spec = static_cast<const model::Mamba1Spec&>(source.config.mixers.at("mamba1"));
  const int64_t channels = spec.expand * source.config.d_model, N = spec.d_state;
  const Row A_log = source.get(p + "A_log"), D = source.get(p + "D");
  Rows before_conv, gates, out;
  for (const Row& u : input) {
    const Row xz = source.linear(u, p + "in_proj");
    before_conv.emplace_back(xz.begin(), xz.begin() + channels);
    gates.emplace_back(xz.begin() + channels, xz.end());
  }
  const Rows convolved = source.convolution(before_conv, p + "conv1d");
  Row h(static_cast<std::size_t>(channels * N), 0.0);
  for (std::size_t t = 0; t < input.size(); ++t) {
    Row x = convolved[t];
    for (double& value : x) value = silu(value);
    const Row selected = source.linear(x, p + "x_proj");
    const int64_t rank = static_cast<int64_t>(selected.size()) - 2 * N;
    Row dt(selected.begin(), selected.begin() + rank);
    Row B(selected.begin() + rank, selected.begin() + rank + N),
        C(selected.end() - N, selected.end());
    if (spec.norm_BCdt) {
      for (Row* part : {&dt, &B, &C}) *part = norm(*part, {}, spec.norm_BCdt_eps);
    }
    const Row raw = source.linear(dt, p + "dt_proj");
    Row y(static_cast<std::size_t>(channels));
    for (int64_t c = 0; c < channels; ++c) {
      const double delta = std::log1p(std::exp(raw[c]));
      y[c] = D[c] * x[c];
      for (int64_t n = 0; n < N; ++n) {
        double& state = h[c * N + n];
        state = std::exp(-std::exp(A_log[c * N + n]) * delta) * state + delta * B[n] * x[c];
        y[c] += C[n] * state;
      }
      y[c] *= silu(gates[t][c]);
    }
    out.push_back(source.linear(y, p + "out_proj"));
  }
  return out;
}

}  // namespace adder::infer::testing_support
