#include "adder/model/mamba1_spec.h"

#include <cmath>

#include "adder/model/option_check.h"

namespace adder::model {
namespace {

const std::vector<std::string> kDtInits = {"random", "constant"};

}  // namespace

void Mamba1Spec::describe(OptionVisitor& v) {
  v.field("d_state", d_state, "size of the state of each channel (N)");
  v.field("d_conv", d_conv, "taps of the causal convolution");
  v.field("expand", expand, "inner width as a multiple of d_model");
  v.field("dt_rank", dt_rank, "width of the bottleneck that makes delta; 0: d_model / 16");
  v.field("bias", bias, "bias of in_proj and out_proj");
  v.field("conv_bias", conv_bias, "bias of the convolution");
  v.field("norm_BCdt", norm_BCdt, "RMS norms without weights on dt, B and C, as FalconMamba has");
  v.field("norm_BCdt_eps", norm_BCdt_eps, "added to the mean square in those norms");
  v.choice("dt_init", dt_init, kDtInits, "start of dt_proj: uniform in +-dt_scale/sqrt(dt_rank)");
  v.field("dt_scale", dt_scale, "scale of that start");
  v.field("dt_min", dt_min, "dt starts log-uniform in [dt_min, dt_max]");
  v.field("dt_max", dt_max, "dt starts log-uniform in [dt_min, dt_max]");
  v.field("dt_init_floor", dt_init_floor, "least dt at the start");
}

Mamba1Spec::Sizes Mamba1Spec::sizes(int64_t d_model) const {
  Sizes s{};
  s.d_inner = expand * d_model;
  s.dt_rank = dt_rank == 0 ? (d_model + 15) / 16 : dt_rank;
  s.x_proj = s.dt_rank + 2 * d_state;
  return s;
}

void Mamba1Spec::check(const LayerPlace& place) const {
  require_within("d_model", place.d_model, 1, kMaxWidth);
  require_within("mamba1.d_state", d_state, 1, kMaxWidth);
  require_within("mamba1.d_conv", d_conv, 1, 8);
  require_within("mamba1.expand", expand, 1, 1024);
  require_within("mamba1.dt_rank", dt_rank, 0, kMaxWidth);
  require_number("mamba1.norm_BCdt_eps", norm_BCdt_eps, 0, 1);
  require_choice("mamba1.dt_init", dt_init, kDtInits);
  require_number("mamba1.dt_scale", dt_scale, 0, 1e6);
  require_number("mamba1.dt_min", dt_min, 0, 1e6, true);
  require_number("mamba1.dt_max", dt_max, dt_min, 1e6);
  require_number("mamba1.dt_init_floor", dt_init_floor, 0, 1e6);
}

std::vector<TensorSpec> Mamba1Spec::tensors(const LayerPlace& place) const {
  const Sizes s = sizes(place.d_model);
  const Init zero{}, one{Init::Kind::kConstant, 1};
  const Init taps = uniform_fan_in(d_conv);
  const Init low_rank = uniform_fan_in(s.dt_rank, dt_scale);
  const Init dt_start = dt_init == "random" ? low_rank : Init{Init::Kind::kConstant, low_rank.b};

  TensorList list;
  list.matrix("in_proj.weight", 2 * s.d_inner, place.d_model, uniform_fan_in(place.d_model));
  if (bias) list.small("in_proj.bias", {2 * s.d_inner}, zero);
  list.small("conv1d.weight", {s.d_inner, 1, d_conv}, taps, true);
  if (conv_bias) list.small("conv1d.bias", {s.d_inner}, taps);
  list.matrix("x_proj.weight", s.x_proj, s.d_inner, uniform_fan_in(s.d_inner));
  list.matrix("dt_proj.weight", s.d_inner, s.dt_rank, dt_start);
  list.small("dt_proj.bias", {s.d_inner},
             {Init::Kind::kInverseSoftplusDt, dt_min, dt_max, dt_init_floor});
  list.small("A_log", {s.d_inner, d_state}, {Init::Kind::kLogArange});
  list.small("D", {s.d_inner}, one);
  list.matrix("out_proj.weight", place.d_model, s.d_inner,
              uniform_fan_in(s.d_inner, place.output_scale()));
  if (bias) list.small("out_proj.bias", {place.d_model}, zero);
  return list.specs;
}

std::vector<StateSpec> Mamba1Spec::states(const LayerPlace& place) const {
  const Sizes s = sizes(place.d_model);
  return {{"conv", {d_conv - 1, s.d_inner}}, {"ssm", {s.d_inner, d_state}}};
}

double Mamba1Spec::forward_flops(const LayerPlace& place, int64_t /*length*/) const {
  const Sizes s = sizes(place.d_model);
  const auto d = static_cast<double>(place.d_model), inner = static_cast<double>(s.d_inner);
  const double in_and_out = 2 * d * 2 * inner + 2 * inner * d;
  const double x_and_dt = 2 * inner * static_cast<double>(s.x_proj + s.dt_rank);
  const auto conv = static_cast<double>(2 * d_conv) * inner;
  const double scan = 9 * inner * static_cast<double>(d_state);  // mamba-core 1.3, "Cost"
  return in_and_out + x_and_dt + conv + scan;
}

}  // namespace adder::model
