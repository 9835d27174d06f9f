#include "adder/model/original_mixers.h"

#include <utility>

#include "adder/model/option_check.h"

namespace adder::model {
namespace {

constexpr int64_t kMlpMultiple = 256;  // the attention's mlp_dim is rounded up to it

void fields(ConfigFields& f, Mamba1Spec& mixer) {
  f.size("d_state", mixer.d_state, 16);
  f.size("d_conv", mixer.d_conv, 4);
  f.expand(mixer.expand);
  f.size_or_none("dt_rank", mixer.dt_rank);
  f.number("dt_min", mixer.dt_min, 1e-3);
  f.number("dt_max", mixer.dt_max, 0.1);
  f.text("dt_init", mixer.dt_init, "random");
  f.number("dt_scale", mixer.dt_scale, 1);
  f.number("dt_init_floor", mixer.dt_init_floor, 1e-4);
  f.flag("conv_bias", mixer.conv_bias, true);
  f.flag("bias", mixer.bias, false);
}

void fields(ConfigFields& f, Mamba2Spec& mixer, bool& norm, bool& norm_before_gate) {
  f.size("d_state", mixer.d_state, 128);
  f.size("d_conv", mixer.d_conv, 4);
  f.number_or_none("conv_init", mixer.conv_init);
  f.expand(mixer.expand);
  f.size("headdim", mixer.head_dim, 64);
  f.size_or_none("d_ssm", mixer.d_ssm);
  f.size("ngroups", mixer.n_groups, 1);
  f.range("A_init_range", mixer.A_min, mixer.A_max, 1, 16);
  f.flag("D_has_hdim", mixer.D_has_head_dim, false);
  f.flag("rmsnorm", norm, true);
  f.flag("norm_before_gate", norm_before_gate, false);
  f.number("dt_min", mixer.dt_min, 1e-3);
  f.number("dt_max", mixer.dt_max, 0.1);
  f.number("dt_init_floor", mixer.dt_init_floor, 1e-4);
  f.range("dt_limit", mixer.dt_limit_min, mixer.dt_limit_max, 0, kNoLimit);
  f.flag("bias", mixer.bias, false);
  f.flag("conv_bias", mixer.conv_bias, true);
  f.size("chunk_size", mixer.chunk_size, 256);
}

void fields(ConfigFields& f, SoftmaxSpec& mixer, int64_t default_head_dim) {
  f.size("num_heads", mixer.n_heads, {}, kMaxWidth);
  f.size_or_none("num_heads_kv", mixer.n_kv_heads);
  f.size("head_dim", mixer.head_dim, default_head_dim);
  f.count("mlp_dim", mixer.d_mlp, 0);
  f.flag("qkv_proj_bias", mixer.qkv_bias, true);
  f.flag("out_proj_bias", mixer.out_bias, true);
  f.number_or_none("softmax_scale", mixer.scale);
  f.count("d_conv", mixer.d_conv, 0);
  f.count("rotary_emb_dim", mixer.rotary_dim, 0);
  f.number("rotary_emb_base", mixer.rotary_base, 10000);
  f.flag("rotary_emb_interleaved", mixer.rotary_interleaved, false);
}

}  // namespace

void read_original(const io::JsonView& cfg, Mamba1Spec& mixer) {
  FieldReader reader(cfg);
  fields(reader, mixer);
  reader.refuse_unknown({"layer", "use_fast_path"});
}

void read_original(const io::JsonView& cfg, Mamba2Spec& mixer) {
  FieldReader reader(cfg);
  bool norm = true, before = false;
  fields(reader, mixer, norm, before);
  reader.refuse_unknown({"layer", "use_mem_eff_path", "process_group", "sequence_parallel"});
  mixer.gated_norm = !norm ? "none" : before ? "before" : "after";
  mixer.norm_eps = kOriginalEps;
}

void read_original(const io::JsonView& cfg, SoftmaxSpec& mixer, int64_t d_model) {
  FieldReader reader(cfg);
  const int64_t heads = cfg.at("num_heads").as_integer(1, kMaxWidth);
  if (!cfg.has("head_dim") && d_model % heads != 0) {
    cfg.at("num_heads").fail("a divisor of d_model = " + std::to_string(d_model));
  }
  fields(reader, mixer, d_model / heads);
  if (!cfg.boolean("causal", false)) {
    throw Error(ErrorKind::kUnsupported,
                {.what = "this model computes something that Adder does not",
                 .where = cfg.name() + ".causal",
                 .why = "attention must be causal, the default is not"});
  }
  reader.refuse_unknown({"causal"});
  require_within("attn_cfg.mlp_dim", mixer.d_mlp, 0, kMaxWidth);
  mixer.d_mlp = (mixer.d_mlp + kMlpMultiple - 1) / kMlpMultiple * kMlpMultiple;
}

std::optional<Misfit> original_misfit(const Mamba1Spec& mixer) {
  if (mixer.norm_BCdt) return Misfit{"mamba1.norm_BCdt", "true"};
  return std::nullopt;
}

std::optional<Misfit> original_misfit(const Mamba2Spec& mixer) {
  if (mixer.norm_group == "full" && mixer.n_groups > 1) {
    return Misfit{"mamba2.norm_group", mixer.norm_group};
  }
  if (mixer.learnable_init_states) return Misfit{"mamba2.learnable_init_states", "true"};
  if (mixer.gated_norm != "none" && mixer.norm_eps != kOriginalEps) {
    return Misfit{"mamba2.norm_eps", "another value than 1e-5"};
  }
  return std::nullopt;
}

std::optional<Misfit> original_misfit(const SoftmaxSpec& mixer) {
  if (mixer.window != 0) return Misfit{"softmax.window", std::to_string(mixer.window)};
  if (mixer.d_mlp % kMlpMultiple != 0) {
    return Misfit{"softmax.d_mlp", std::to_string(mixer.d_mlp)};
  }
  return std::nullopt;
}

// No "layer": Mamba1 is the default, and versions before 2.0 know no such key.
io::Json write_original(Mamba1Spec mixer) {
  io::Json cfg = io::Json::object();
  FieldWriter writer(cfg);
  fields(writer, mixer);
  return cfg;
}

io::Json write_original(Mamba2Spec mixer) {
  io::Json cfg = {{"layer", "Mamba2"}};
  FieldWriter writer(cfg);
  bool norm = mixer.gated_norm != "none", before = mixer.gated_norm == "before";
  fields(writer, mixer, norm, before);
  return cfg;
}

io::Json write_original(SoftmaxSpec mixer, int64_t d_model) {
  const SoftmaxSpec::Sizes sizes = mixer.sizes(d_model);
  mixer.n_heads = sizes.heads;
  mixer.rotary_dim = sizes.rotary_dim;
  io::Json cfg = {{"causal", true}};
  FieldWriter writer(cfg);
  fields(writer, mixer, 0);
  return cfg;
}

}  // namespace adder::model
