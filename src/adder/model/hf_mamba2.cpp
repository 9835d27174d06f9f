// model_type "mamba2" (Mamba2Config).
//
// With n_groups > 1 transformers has two computations of the gated norm (its fused path per group,
// its plain path over all channels) and no field that says which; this reads `group` unless an
// extra field "norm_group" says "full", and writes that field when n_groups > 1.
#include "adder/base/log.h"
#include "adder/model/hf.h"
#include "adder/model/hf_stack.h"
#include "adder/model/mamba2_spec.h"

namespace adder::model {
namespace {

Mamba2Spec& mixer_of(ModelConfig& config) {
  return static_cast<Mamba2Spec&>(config.mixers.at("mamba2"));
}

void fields(ConfigFields& f, ModelConfig& config) {
  Mamba2Spec& mixer = mixer_of(config);
  hf_stack_fields(f, config, false);
  f.size("head_dim", mixer.head_dim);
  f.size("state_size", mixer.d_state, 128);
  f.size("n_groups", mixer.n_groups, 8);
  f.expand(mixer.expand);
  f.size("conv_kernel", mixer.d_conv, 4);
  f.size("chunk_size", mixer.chunk_size, 256);
  f.flag("use_bias", mixer.bias, false);
  f.flag("use_conv_bias", mixer.conv_bias, true);
  f.number("time_step_min", mixer.dt_min, 1e-3);
  f.number("time_step_max", mixer.dt_max, 0.1);
  f.number("time_step_floor", mixer.dt_init_floor, 1e-4);
  f.range("time_step_limit", mixer.dt_limit_min, mixer.dt_limit_max, 0, kNoLimit);
}

/// heads * head_dim must be the inner width, as transformers asks too.
void check_heads(const io::JsonView& root, const ModelConfig& config, const Mamba2Spec& mixer) {
  const int64_t heads = root.at("num_heads").as_integer(1, 1 << 20);
  if (mixer.head_dim > (1 << 20) || heads * mixer.head_dim != mixer.expand * config.d_model) {
    root.at("num_heads")
        .fail("num_heads * head_dim = expand * hidden_size = " +
              std::to_string(mixer.expand * config.d_model));
  }
}

ModelConfig read(const io::JsonView& root) {
  refuse_other_stacks(root);
  ModelConfig config;
  config.layers = {"mamba2"};
  FieldReader reader(root);
  fields(reader, config);
  Mamba2Spec& mixer = mixer_of(config);
  mixer.norm_eps = config.norm_eps;
  mixer.gated_norm = "after";
  mixer.norm_group = root.string("norm_group", "group");
  if (root.boolean("norm_before_gate", false)) {
    log_warn_once("hf.norm_before_gate", root.at("norm_before_gate").name() +
                                             " = true is ignored, as transformers ignores it: the "
                                             "gate comes before the norm");
  }
  check_heads(root, config, mixer);
  return config;
}

std::optional<Misfit> misfit(const ModelConfig& config) {
  const auto& mixer = static_cast<const Mamba2Spec&>(config.mixers.at("mamba2"));
  if (mixer.sizes(config.d_model).d_mlp != 0) {
    return Misfit{"mamba2.d_ssm", std::to_string(mixer.d_ssm)};
  }
  if (mixer.gated_norm != "after") return Misfit{"mamba2.gated_norm", mixer.gated_norm};
  if (mixer.D_has_head_dim) return Misfit{"mamba2.D_has_head_dim", "true"};
  if (mixer.learnable_init_states) return Misfit{"mamba2.learnable_init_states", "true"};
  if (mixer.norm_eps != config.norm_eps) {
    return Misfit{"mamba2.norm_eps", "another value than norm_eps"};
  }
  return std::nullopt;
}

void write(const ModelConfig& config, io::Json& json) {
  ModelConfig copy = config;
  const Mamba2Spec& mixer = mixer_of(copy);
  FieldWriter writer(json);
  fields(writer, copy);
  json["num_heads"] = mixer.sizes(config.d_model).heads;
  json["hidden_act"] = "silu";
  json["time_step_rank"] = (config.d_model + 15) / 16;
  if (mixer.n_groups > 1) json["norm_group"] = mixer.norm_group;
}

}  // namespace

HfLayout hf_mamba2() {
  const SpecialTokens tokens = {.bos = 0, .pad = 1, .eos = {2}};
  return {"mamba2", "Mamba2ForCausalLM", tokens, read, misfit, write};
}

}  // namespace adder::model
