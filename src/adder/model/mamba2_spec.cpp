#include "adder/model/mamba2_spec.h"

#include <algorithm>
#include <cmath>

#include "adder/model/option_check.h"

namespace adder::model {
namespace {

const std::vector<std::string> kGatedNorms = {"after", "before", "none"};
const std::vector<std::string> kNormGroups = {"group", "full"};
const std::vector<std::string> kAInits = {"uniform", "hippo_heads"};

}  // namespace

void Mamba2Spec::describe(OptionVisitor& v) {
  v.field("d_state", d_state, "size of the state of each channel (N)");
  v.field("d_conv", d_conv, "taps of the causal convolution");
  v.field("expand", expand, "inner width as a multiple of d_model");
  v.field("head_dim", head_dim, "channels of a head (P)");
  v.field("d_ssm", d_ssm, "channels that pass the SSM, the rest is a gated MLP; 0: all");
  v.field("n_groups", n_groups, "groups of heads that share B and C");
  v.choice("gated_norm", gated_norm, kGatedNorms, "norm after the gate, before it, or none");
  v.choice("norm_group", norm_group, kNormGroups,
           "norm statistics per group, or over all channels");
  v.field("D_has_head_dim", D_has_head_dim, "a skip weight for each channel instead of each head");
  v.field("bias", bias, "bias of in_proj and out_proj");
  v.field("conv_bias", conv_bias, "bias of the convolution");
  v.field("learnable_init_states", learnable_init_states, "learn the state before the first token");
  v.field("conv_init", conv_init, "start of the convolution: uniform in +-this; 0: 1/sqrt(d_conv)");
  v.field("A_min", A_min, "-A starts in [A_min, A_max]");
  v.field("A_max", A_max, "-A starts in [A_min, A_max]");
  v.choice("A_init", A_init, kAInits, "there uniform, or in even steps from head to head");
  v.field("dt_min", dt_min, "dt starts log-uniform in [dt_min, dt_max]");
  v.field("dt_max", dt_max, "dt starts log-uniform in [dt_min, dt_max]");
  v.field("dt_init_floor", dt_init_floor, "least dt at the start");
  v.field("dt_limit_min", dt_limit_min, "dt is clamped to at least this");
  v.field("dt_limit_max", dt_limit_max, "dt is clamped to at most this");
  v.field("chunk_size", chunk_size, "tokens that the chunked scan takes at once");
  v.field("norm_eps", norm_eps, "added to the mean square in the gated norm");
}

Mamba2Spec::Sizes Mamba2Spec::sizes(int64_t d_model) const {
  Sizes s{};
  s.d_inner = expand * d_model;
  s.d_ssm = d_ssm == 0 ? s.d_inner : d_ssm;
  s.d_mlp = s.d_inner - s.d_ssm;
  s.heads = s.d_ssm / head_dim;
  s.conv_dim = s.d_ssm + 2 * n_groups * d_state;
  s.in_proj = 2 * s.d_mlp + s.d_ssm + s.conv_dim + s.heads;
  return s;
}

void Mamba2Spec::check(const LayerPlace& place) const {
  require_within("d_model", place.d_model, 1, kMaxWidth);
  require_within("mamba2.d_state", d_state, 1, kMaxWidth);
  require_within("mamba2.d_conv", d_conv, 1, 8);
  require_within("mamba2.expand", expand, 1, 1024);
  require_within("mamba2.head_dim", head_dim, 1, kMaxWidth);
  require_within("mamba2.n_groups", n_groups, 1, kMaxWidth);
  require_within("mamba2.chunk_size", chunk_size, 1, kMaxWidth);
  const int64_t d_inner = expand * place.d_model;
  require_within("mamba2.d_ssm", d_ssm, 0, d_inner);
  const Sizes s = sizes(place.d_model);
  if (s.d_ssm % head_dim != 0) {
    const std::string width =
        d_ssm == 0 ? "d_inner = expand*d_model = " + std::to_string(d_inner) : "d_ssm";
    fail_option("mamba2.head_dim", std::to_string(head_dim),
                width + (d_ssm == 0 ? "" : " = " + std::to_string(d_ssm)) +
                    " is not a multiple of head_dim " + std::to_string(head_dim));
  }
  if (s.heads % n_groups != 0) {
    fail_option("mamba2.n_groups", std::to_string(n_groups),
                std::to_string(s.heads) + " heads cannot be shared out to " +
                    std::to_string(n_groups) + " groups evenly");
  }
  require_choice("mamba2.gated_norm", gated_norm, kGatedNorms);
  require_choice("mamba2.norm_group", norm_group, kNormGroups);
  require_number("mamba2.conv_init", conv_init, 0, 1e6);
  require_number("mamba2.A_min", A_min, 0, 1e6, true);
  require_number("mamba2.A_max", A_max, A_min, 1e6);
  require_choice("mamba2.A_init", A_init, kAInits);
  require_number("mamba2.dt_min", dt_min, 0, 1e6, true);
  require_number("mamba2.dt_max", dt_max, dt_min, 1e6);
  require_number("mamba2.dt_init_floor", dt_init_floor, 0, 1e6);
  require_number("mamba2.dt_limit_min", dt_limit_min, 0, 1e300);
  require_number("mamba2.dt_limit_max", dt_limit_max, dt_limit_min, 1e300);
  require_number("mamba2.norm_eps", norm_eps, 0, 1);
}

std::vector<TensorSpec> Mamba2Spec::tensors(const LayerPlace& place) const {
  const Sizes s = sizes(place.d_model);
  const Init zero{}, one{Init::Kind::kConstant, 1};
  const Init conv_bias_init = uniform_fan_in(d_conv);
  const Init conv_weight_init =
      conv_init > 0 ? Init{Init::Kind::kUniform, -conv_init, conv_init} : conv_bias_init;
  const auto A_start = A_init == "uniform" ? Init::Kind::kLogUniform : Init::Kind::kLogLinspace;

  TensorList list;
  list.matrix("in_proj.weight", s.in_proj, place.d_model, uniform_fan_in(place.d_model));
  if (bias) list.small("in_proj.bias", {s.in_proj}, zero);
  list.small("conv1d.weight", {s.conv_dim, 1, d_conv}, conv_weight_init, true);
  if (conv_bias) list.small("conv1d.bias", {s.conv_dim}, conv_bias_init);
  list.small("dt_bias", {s.heads}, {Init::Kind::kInverseSoftplusDt, dt_min, dt_max, dt_init_floor});
  list.small("A_log", {s.heads}, {A_start, A_min, A_max});
  list.small("D", {D_has_head_dim ? s.d_ssm : s.heads}, one);
  if (gated_norm != "none") list.small("norm.weight", {s.d_ssm}, one);
  if (learnable_init_states) list.small("init_states", {s.heads, head_dim, d_state}, zero);
  list.matrix("out_proj.weight", place.d_model, s.d_inner,
              uniform_fan_in(s.d_inner, place.output_scale()));
  if (bias) list.small("out_proj.bias", {place.d_model}, zero);
  return list.specs;
}

std::vector<StateSpec> Mamba2Spec::states(const LayerPlace& place) const {
  const Sizes s = sizes(place.d_model);
  return {{"conv", {d_conv - 1, s.conv_dim}}, {"ssm", {s.heads, head_dim, d_state}}};
}

double Mamba2Spec::forward_flops(const LayerPlace& place, int64_t length) const {
  const Sizes s = sizes(place.d_model);
  const auto d = static_cast<double>(place.d_model);
  const auto n = static_cast<double>(d_state), p = static_cast<double>(head_dim);
  const auto heads = static_cast<double>(s.heads), groups = static_cast<double>(n_groups);
  const double projections =
      2 * d * static_cast<double>(s.in_proj) + 2 * d * static_cast<double>(s.d_inner);
  const auto conv = static_cast<double>(2 * d_conv * s.conv_dim);
  // The chunked scan (mamba-core 1.5): a token meets (Q + 1) / 2 others of its chunk on average.
  const double others = (static_cast<double>(std::clamp<int64_t>(length, 1, chunk_size)) + 1) / 2;
  const double scan = heads * (2 * others * p + 4 * p * n) + groups * 2 * others * n;
  return projections + conv + scan;
}

}  // namespace adder::model
