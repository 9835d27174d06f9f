// model_type "mamba" (MambaConfig) and "falcon_mamba" (FalconMambaConfig: the same with norms on
// dt, B and C).
#include "adder/model/hf.h"
#include "adder/model/hf_stack.h"
#include "adder/model/mamba1_spec.h"

namespace adder::model {
namespace {

Mamba1Spec& mixer_of(ModelConfig& config) {
  return static_cast<Mamba1Spec&>(config.mixers.at("mamba1"));
}

void fields(ConfigFields& f, ModelConfig& config) {
  Mamba1Spec& mixer = mixer_of(config);
  hf_stack_fields(f, config, true);
  f.size("state_size", mixer.d_state, 16);
  f.size("conv_kernel", mixer.d_conv, 4);
  f.size_or_none("time_step_rank", mixer.dt_rank);
  f.flag("use_bias", mixer.bias, false);
  f.flag("use_conv_bias", mixer.conv_bias, true);
  f.number("time_step_scale", mixer.dt_scale, 1);
  f.number("time_step_min", mixer.dt_min, 1e-3);
  f.number("time_step_max", mixer.dt_max, 0.1);
  f.number("time_step_floor", mixer.dt_init_floor, 1e-4);
  f.text("time_step_init_scheme", mixer.dt_init, "random");
}

/// intermediate_size holds where it is given: FalconMamba's own says expand = 16 and means 2.
int64_t read_widening(const io::JsonView& root, int64_t d_model) {
  const auto inner = root.find("intermediate_size");
  if (!inner) return read_expand(root);
  const int64_t width = inner->as_positive();
  if (width % d_model != 0) {
    unsupported_field(*inner, "it must be a multiple of hidden_size = " + std::to_string(d_model));
  }
  return width / d_model;
}

ModelConfig read(const io::JsonView& root) {
  refuse_other_stacks(root);
  ModelConfig config;
  config.layers = {"mamba1"};
  FieldReader reader(root);
  fields(reader, config);
  Mamba1Spec& mixer = mixer_of(config);
  mixer.expand = read_widening(root, config.d_model);
  if (mixer.dt_init != "constant") mixer.dt_init = "random";  // a start like any other
  return config;
}

ModelConfig read_falcon(const io::JsonView& root) {
  ModelConfig config = read(root);
  mixer_of(config).norm_BCdt = true;
  mixer_of(config).norm_BCdt_eps = root.number("mixer_rms_eps", 1e-6);
  return config;
}

std::optional<Misfit> misfit(const ModelConfig& /*config*/) {
  return std::nullopt;  // every option of mamba1 has a field
}

void write(const ModelConfig& config, io::Json& json) {
  ModelConfig copy = config;
  const Mamba1Spec& mixer = mixer_of(copy);
  FieldWriter writer(json);
  fields(writer, copy);
  json["expand"] = mixer.expand;
  json["intermediate_size"] = mixer.sizes(config.d_model).d_inner;
  json["hidden_act"] = "silu";
}

void write_falcon(const ModelConfig& config, io::Json& json) {
  write(config, json);
  json["mixer_rms_eps"] = static_cast<const Mamba1Spec&>(config.mixers.at("mamba1")).norm_BCdt_eps;
}

const SpecialTokens kTokens = {.bos = 0, .pad = 0, .eos = {0}};

}  // namespace

HfLayout hf_mamba() {
  return {"mamba", "MambaForCausalLM", kTokens, read, misfit, write};
}

HfLayout hf_falcon_mamba() {
  return {"falcon_mamba", "FalconMambaForCausalLM", kTokens, read_falcon, misfit, write_falcon};
}

}  // namespace adder::model
