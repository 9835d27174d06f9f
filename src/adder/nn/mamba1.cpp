#include "adder/nn/mamba1.h"

#include <ATen/ATen.h>

#include "adder/nn/operators.h"

namespace adder::nn {

Mamba1::Mamba1(const model::Mamba1Spec& spec, const model::LayerPlace& place,
               const Parameters& parameters, const std::string& prefix)
    : spec_(spec),
      sizes_(spec.sizes(place.d_model)),
      in_proj_(parameters, prefix + "in_proj"),
      x_proj_(parameters, prefix + "x_proj"),
      dt_proj_(parameters, prefix + "dt_proj"),
      out_proj_(parameters, prefix + "out_proj"),
      conv_weight_(parameters.at(prefix + "conv1d.weight")),
      A_log_(parameters.at(prefix + "A_log")),
      D_(parameters.at(prefix + "D")),
      conv_bias_(parameters.find(prefix + "conv1d.bias")) {}

Tensor Mamba1::forward(const Tensor& x, Context& context, State* carried) const {
  const auto halves = in_proj_(x).chunk(2, -1);
  const Tensor &value = halves[0], &z = halves[1];  // (batch, length, d_inner)

  OptionalTensor seq_idx, conv_state, ssm_state;
  if (context.seq_idx.defined()) seq_idx = context.seq_idx;
  if (carried != nullptr && !carried->empty()) {
    conv_state = (*carried)[0].to(x.scalar_type());  // (batch, d_conv - 1, d_inner)
    ssm_state = (*carried)[1];                       // (batch, d_inner, d_state)
  }
  const auto [u, conv_end] =
      causal_conv1d(value, conv_weight_.squeeze(1), conv_bias_, conv_state, seq_idx, /*silu=*/true);

  const auto parts =
      x_proj_(u).split_with_sizes({sizes_.dt_rank, spec_.d_state, spec_.d_state}, -1);
  const Tensor dt = dt_proj_.product(norm(parts[0]));  // (batch, length, d_inner)
  const Tensor B = norm(parts[1]).unsqueeze(2);        // (batch, length, 1, d_state)
  const Tensor C = norm(parts[2]).unsqueeze(2);
  const Tensor A = A_log_.exp().neg();  // (d_inner, d_state)
  context.probe("dt", dt);
  context.probe("A", A);
  context.probe("B", B);
  context.probe("C", C);

  const auto scan = [&](const OptionalTensor& gate) {
    return selective_scan(u, dt, A, B, C, D_, gate, dt_proj_.bias(), /*delta_softplus=*/true,
                          ssm_state, seq_idx);
  };
  const auto [gated, ssm_end] = scan(z);
  if (carried != nullptr) *carried = {conv_end, ssm_end};
  // The scan gates on the way: who watches pays for a second one.
  if (context.on_probe) context.probe("y", std::get<0>(scan(std::nullopt)));
  return out_proj_(gated);
}

Tensor Mamba1::norm(const Tensor& x) const {
  if (!spec_.norm_BCdt) return x;
  const Tensor wide = x.scalar_type() == at::kBFloat16 ? x.to(at::kFloat) : x;
  const Tensor mean_square = wide.square().mean(-1, /*keepdim=*/true);
  return (wide * (mean_square + spec_.norm_BCdt_eps).rsqrt()).to(x.scalar_type());
}

}  // namespace adder::nn
