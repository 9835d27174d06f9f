#include "adder/nn/mamba2.h"

#include <ATen/ATen.h>

#include "adder/base/error.h"
#include "adder/nn/operators.h"
#include "adder/ops/slices.h"

namespace adder::nn {

Mamba2::Mamba2(const model::Mamba2Spec& spec, const model::LayerPlace& place,
               const Parameters& parameters, const std::string& prefix)
    : spec_(spec),
      sizes_(spec.sizes(place.d_model)),
      in_proj_(parameters, prefix + "in_proj"),
      out_proj_(parameters, prefix + "out_proj"),
      conv_weight_(parameters.at(prefix + "conv1d.weight")),
      A_log_(parameters.at(prefix + "A_log")),
      D_(parameters.at(prefix + "D")),
      dt_bias_(parameters.at(prefix + "dt_bias")),
      conv_bias_(parameters.find(prefix + "conv1d.bias")),
      norm_weight_(parameters.find(prefix + "norm.weight")),
      init_states_(parameters.find(prefix + "init_states")) {}

Tensor Mamba2::forward(const Tensor& x, Context& context, State* carried) const {
  const int64_t batch = x.size(0), length = x.size(1);
  const int64_t heads = sizes_.heads, groups = spec_.n_groups, state = spec_.d_state;

  const Tensor projected = in_proj_(x);  // (batch, length, in_proj rows)
  const auto parts = ops::slices(
      projected, {{sizes_.d_mlp}, {sizes_.d_mlp}, {sizes_.d_ssm}, {sizes_.conv_dim}, {heads}});
  const Tensor &xBC = parts[3], &dt = parts[4];

  const bool resumed = carried != nullptr && !carried->empty();
  std::optional<Tensor> seq_idx, conv_state, ssm_state;
  if (context.seq_idx.defined()) seq_idx = context.seq_idx;
  if (resumed) {
    conv_state = (*carried)[0].to(x.scalar_type());  // (batch, d_conv - 1, conv_dim)
    ssm_state = (*carried)[1];                       // (batch, heads, head_dim, d_state)
  } else if (init_states_) {
    refuse_packing(context);
    ssm_state = init_states_->unsqueeze(0).expand({batch, heads, spec_.head_dim, state});
  }

  const auto [convolved, conv_end] =
      causal_conv1d(xBC, conv_weight_.squeeze(1), conv_bias_, conv_state, seq_idx, /*silu=*/true);
  const auto xBC_parts =
      ops::slices(convolved, {{heads, spec_.head_dim}, {groups, state}, {groups, state}});
  const Tensor &values = xBC_parts[0], &B = xBC_parts[1], &C = xBC_parts[2];
  const Tensor A = A_log_.exp().neg();
  const Tensor D = spec_.D_has_head_dim ? D_.view({heads, spec_.head_dim}) : D_;
  context.probe("dt", dt);
  context.probe("A", A);
  context.probe("B", B);
  context.probe("C", C);

  const SsdOptions options{true, spec_.dt_limit_min, spec_.dt_limit_max, spec_.chunk_size};
  const auto [scanned, ssm_end] =
      ssd(values, dt, A, B, C, D, std::nullopt, dt_bias_, options, ssm_state, seq_idx);
  if (carried != nullptr) *carried = {conv_end, ssm_end};
  context.probe("y", scanned);

  return project_out(scanned.reshape({batch, length, sizes_.d_ssm}), parts);
}

void Mamba2::refuse_packing(const Context& context) {
  const Tensor& seq_idx = context.seq_idx;
  if (!seq_idx.defined() || seq_idx.size(1) < 2 || context.shares_rows == false) return;
  const auto found = [&] {
    const int64_t pairs = seq_idx.size(1) - 1;
    const Tensor before = seq_idx.narrow(1, 0, pairs), after = seq_idx.narrow(1, 1, pairs);
    return before.ne(after).logical_and(after.ge(0)).any().item<bool>();
  };
  if (!context.shares_rows.has_value() && !found()) return;
  throw Error(ErrorKind::kUnsupported,
              {.what = "learnable initial states with several documents in a row",
               .why = "a learned start would reach the first document of each row alone",
               .next = "set data.mode = \"docs\", or model.mamba2.learnable_init_states = false"});
}

Tensor Mamba2::project_out(const Tensor& y, const std::vector<Tensor>& parts) const {
  const Tensor &z_mlp = parts[0], &x_mlp = parts[1], &z = parts[2];
  const bool before = spec_.gated_norm == "before";
  const int64_t group_size =
      spec_.norm_group == "full" ? sizes_.d_ssm : sizes_.d_ssm / spec_.n_groups;
  if (norm_weight_ && sizes_.d_mlp == 0 && !out_proj_.has_adapter()) {
    return gated_rms_norm_linear(y, *norm_weight_, z, spec_.norm_eps, group_size, before,
                                 out_proj_.weight(), out_proj_.bias());
  }
  Tensor gated = norm_weight_
                     ? gated_rms_norm(y, *norm_weight_, z, spec_.norm_eps, group_size, before)
                     : y * at::silu(z);
  if (sizes_.d_mlp > 0) gated = at::cat({swiglu(x_mlp, z_mlp), gated}, -1);
  return out_proj_(gated);
}

}  // namespace adder::nn
