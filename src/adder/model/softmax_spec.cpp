#include "adder/model/softmax_spec.h"

#include <algorithm>
#include <cmath>

#include "adder/model/option_check.h"

namespace adder::model {

void SoftmaxSpec::describe(OptionVisitor& v) {
  v.field("head_dim", head_dim, "channels of a head");
  v.field("n_heads", n_heads, "query heads; 0: d_model / head_dim");
  v.field("n_kv_heads", n_kv_heads, "key and value heads, shared by the query heads; 0: n_heads");
  v.field("rotary_dim", rotary_dim, "dimensions of a head that rotate; -1: all, 0: none");
  v.field("rotary_base", rotary_base, "base of the rotation's frequencies: base^(-2i/rotary_dim)");
  v.field("rotary_interleaved", rotary_interleaved,
          "rotate pairs (2i, 2i+1) instead of halves (i, i + rotary_dim/2)");
  v.field("window", window, "how many tokens a token sees, itself included; 0: all before it");
  v.field("scale", scale, "factor of q.k; 0: 1/sqrt(head_dim)");
  v.field("qkv_bias", qkv_bias, "bias of in_proj");
  v.field("out_bias", out_bias, "bias of out_proj");
  v.field("d_conv", d_conv, "taps of a causal convolution over q, k and v; 0: none");
  v.field("d_mlp", d_mlp, "width of a gated MLP beside the attention; 0: none");
}

SoftmaxSpec::Sizes SoftmaxSpec::sizes(int64_t d_model) const {
  Sizes s{};
  s.heads = n_heads == 0 ? d_model / head_dim : n_heads;
  s.kv_heads = n_kv_heads == 0 ? s.heads : n_kv_heads;
  s.q = s.heads * head_dim;
  s.kv = s.kv_heads * head_dim;
  s.qkv = s.q + 2 * s.kv;
  s.in_proj = s.qkv + 2 * d_mlp;
  s.d_inner = s.q + d_mlp;
  s.rotary_dim = rotary_dim < 0 ? head_dim : rotary_dim;
  s.scale = scale == 0 ? 1 / std::sqrt(static_cast<double>(head_dim)) : scale;
  return s;
}

void SoftmaxSpec::check(const LayerPlace& place) const {
  require_within("d_model", place.d_model, 1, kMaxWidth);
  require_within("softmax.head_dim", head_dim, 1, kMaxWidth);
  require_within("softmax.n_heads", n_heads, 0, kMaxWidth);
  require_within("softmax.n_kv_heads", n_kv_heads, 0, kMaxWidth);
  require_within("softmax.rotary_dim", rotary_dim, -1, head_dim);
  require_number("softmax.rotary_base", rotary_base, 1, 1e12);
  require_within("softmax.window", window, 0, int64_t{1} << 40);
  require_number("softmax.scale", scale, 0, 1e6);
  require_within("softmax.d_conv", d_conv, 0, 8);
  require_within("softmax.d_mlp", d_mlp, 0, kMaxWidth);
  if (n_heads == 0 && place.d_model % head_dim != 0) {
    fail_option("softmax.head_dim", std::to_string(head_dim),
                "d_model = " + std::to_string(place.d_model) + " is not a multiple of it");
  }
  const Sizes s = sizes(place.d_model);
  if (s.heads % s.kv_heads != 0) {
    fail_option("softmax.n_kv_heads", std::to_string(s.kv_heads),
                std::to_string(s.heads) + " query heads cannot share them evenly");
  }
  if (s.rotary_dim % 2 != 0) {
    fail_option("softmax.rotary_dim", std::to_string(s.rotary_dim), "dimensions rotate in pairs");
  }
}

std::vector<TensorSpec> SoftmaxSpec::tensors(const LayerPlace& place) const {
  const Sizes s = sizes(place.d_model);
  TensorList list;
  list.matrix("in_proj.weight", s.in_proj, place.d_model, uniform_fan_in(place.d_model));
  if (qkv_bias) list.small("in_proj.bias", {s.in_proj}, {});
  if (d_conv > 0) {
    list.small("conv1d.weight", {s.qkv, 1, d_conv}, uniform_fan_in(d_conv), true);
    list.small("conv1d.bias", {s.qkv}, uniform_fan_in(d_conv));
  }
  list.matrix("out_proj.weight", place.d_model, s.d_inner,
              uniform_fan_in(s.d_inner, place.output_scale()));
  if (out_bias) list.small("out_proj.bias", {place.d_model}, {});
  return list.specs;
}

std::vector<StateSpec> SoftmaxSpec::states(const LayerPlace& place) const {
  const Sizes s = sizes(place.d_model);
  std::vector<StateSpec> list = {{"k", {window, s.kv}, DType::f32, /*grows=*/true},
                                 {"v", {window, s.kv}, DType::f32, /*grows=*/true}};
  if (d_conv > 1) list.push_back({"conv", {d_conv - 1, s.qkv}});
  return list;
}

double SoftmaxSpec::forward_flops(const LayerPlace& place, int64_t length) const {
  const Sizes s = sizes(place.d_model);
  const auto d = static_cast<double>(place.d_model);
  const double projections = 2 * d * static_cast<double>(s.in_proj + s.d_inner);
  const auto conv = static_cast<double>(2 * d_conv * s.qkv);
  const auto tokens = static_cast<double>(length);
  const auto most = window == 0 ? tokens : std::min(tokens, static_cast<double>(window));
  // Keys that a token sees on average: token t = 1, 2, ... sees min(t, most).
  const double seen = most - most * (most - 1) / (2 * tokens);
  return projections + conv + 4 * static_cast<double>(s.q) * seen;
}

}  // namespace adder::model
