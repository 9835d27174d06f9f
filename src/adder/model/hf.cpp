#include "adder/model/hf.h"

#include <algorithm>
#include <limits>

#include "adder/base/error.h"
#include "adder/base/log.h"
#include "adder/model/mamba2_spec.h"

namespace adder::model {
namespace {

constexpr double kNoLimit = 1e300;

[[noreturn]] void unsupported(const io::JsonView& field, std::string why) {
  throw Error(ErrorKind::kUnsupported, {.what = "this model computes something that Adder does not",
                                        .where = field.name(),
                                        .why = std::move(why)});
}

/// A bound of time_step_limit: a number or Infinity, bare, as text or {"__float__": "Infinity"}.
double limit_of(const io::JsonView& bound) {
  const auto tagged = bound.json().is_object() ? bound.find("__float__") : std::nullopt;
  const io::JsonView& value = tagged ? *tagged : bound;
  if (value.json().is_string() && value.as_string() == "Infinity") return kNoLimit;
  const double number = value.as_number(true);
  return number >= static_cast<double>(std::numeric_limits<float>::max()) ? kNoLimit : number;
}

void read_limits(const io::JsonView& root, Mamba2Spec& mixer) {
  const auto limits = root.find("time_step_limit");
  if (!limits) return;
  const std::vector<io::JsonView> bounds = limits->items();
  if (bounds.size() != 2) limits->fail("two numbers");
  mixer.dt_limit_min = limit_of(bounds[0]);
  mixer.dt_limit_max = limit_of(bounds[1]);
}

/// Fields that change what is computed, each with the one value that Adder computes.
void refuse_other_computations(const io::JsonView& root) {
  const auto act = root.find("hidden_act");
  if (act && act->as_string() != "silu" && act->as_string() != "swish") {
    unsupported(*act, "the activation must be silu");
  }
  if (const auto rms = root.find("rms_norm"); rms && !rms->as_bool()) {
    unsupported(*rms, "the norms must be RMS norms");
  }
  for (const char* name : {"quantization_config", "attn_layer_idx", "mlp_layer_idx"}) {
    const auto field = root.find(name);
    if (field && !field->json().empty()) unsupported(*field, "only plain mamba2 stacks are read");
  }
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

ModelConfig read_fields(const io::JsonView& root) {
  refuse_other_computations(root);
  ModelConfig config;
  auto& mixer = static_cast<Mamba2Spec&>(config.mixers.at("mamba2"));
  config.layers = {"mamba2"};
  config.vocab_size = root.at("vocab_size").as_positive();
  config.d_model = root.at("hidden_size").as_integer(1, 1 << 20);
  config.n_layer = root.at("num_hidden_layers").as_positive();
  config.norm_eps = root.number("layer_norm_epsilon", 1e-5);
  config.residual_in_fp32 = root.boolean("residual_in_fp32", true);
  config.tie_embeddings = root.boolean("tie_word_embeddings", false);
  config.embedding_std = root.number("initializer_range", 0.1);
  mixer.norm_eps = config.norm_eps;
  mixer.head_dim = root.at("head_dim").as_positive();
  mixer.d_state = root.positive("state_size", 128);
  mixer.d_conv = root.positive("conv_kernel", 4);
  mixer.expand = root.has("expand") ? root.at("expand").as_integer(1, 1024) : 2;
  mixer.n_groups = root.positive("n_groups", 8);
  mixer.chunk_size = root.positive("chunk_size", 256);
  mixer.bias = root.boolean("use_bias", false);
  mixer.conv_bias = root.boolean("use_conv_bias", true);
  mixer.dt_min = root.number("time_step_min", 1e-3);
  mixer.dt_max = root.number("time_step_max", 0.1);
  mixer.dt_init_floor = root.number("time_step_floor", 1e-4);
  mixer.gated_norm = "after";
  if (root.boolean("norm_before_gate", false)) {
    log_warn_once("hf.norm_before_gate", root.at("norm_before_gate").name() +
                                             " = true is ignored, as transformers ignores it: the "
                                             "gate comes before the norm");
  }
  mixer.norm_group = root.string("norm_group", "group");
  read_limits(root, mixer);
  check_heads(root, config, mixer);
  config.check();
  return config;
}

}  // namespace

ModelConfig config_from_hf(const io::Json& json, const std::string& file) {
  try {
    return read_fields(io::JsonView(json, file));
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kConfig) throw error.within(file);
    if (error.kind() == ErrorKind::kFormat) throw Error(ErrorKind::kConfig, error.text());
    throw;
  }
}

std::optional<HfMisfit> hf_misfit(const ModelConfig& config) {
  for (const std::string& kind : config.layers) {
    if (kind != "mamba2") return HfMisfit{"layers", kind};
  }
  const auto& mixer = static_cast<const Mamba2Spec&>(config.mixers.at("mamba2"));
  if (mixer.sizes(config.d_model).d_mlp != 0) {
    return HfMisfit{"mamba2.d_ssm", std::to_string(mixer.d_ssm)};
  }
  if (mixer.gated_norm != "after") return HfMisfit{"mamba2.gated_norm", mixer.gated_norm};
  if (mixer.D_has_head_dim) return HfMisfit{"mamba2.D_has_head_dim", "true"};
  if (mixer.learnable_init_states) return HfMisfit{"mamba2.learnable_init_states", "true"};
  if (mixer.norm_eps != config.norm_eps) {
    return HfMisfit{"mamba2.norm_eps", "another value than norm_eps"};
  }
  return std::nullopt;
}

io::Json config_to_hf(const ModelConfig& config) {
  if (const auto misfit = hf_misfit(config)) {
    throw Error(ErrorKind::kUnsupported,
                {.what = "Hugging Face's mamba2 layout cannot express this model",
                 .where = misfit->option,
                 .why = misfit->option + " = " + misfit->value + " has no field there",
                 .next = "keep the model in Adder's own layout"});
  }
  const auto& mixer = static_cast<const Mamba2Spec&>(config.mixers.at("mamba2"));
  io::Json json = {
      {"architectures", {"Mamba2ForCausalLM"}},
      {"model_type", "mamba2"},
      {"vocab_size", config.vocab_size},
      {"hidden_size", config.d_model},
      {"num_hidden_layers", config.n_layer},
      {"num_heads", mixer.sizes(config.d_model).heads},
      {"head_dim", mixer.head_dim},
      {"state_size", mixer.d_state},
      {"n_groups", mixer.n_groups},
      {"expand", mixer.expand},
      {"conv_kernel", mixer.d_conv},
      {"chunk_size", mixer.chunk_size},
      {"use_bias", mixer.bias},
      {"use_conv_bias", mixer.conv_bias},
      {"hidden_act", "silu"},
      {"rms_norm", true},
      {"layer_norm_epsilon", config.norm_eps},
      {"residual_in_fp32", config.residual_in_fp32},
      {"tie_word_embeddings", config.tie_embeddings},
      {"initializer_range", config.embedding_std},
      {"time_step_rank", (config.d_model + 15) / 16},
      {"time_step_min", mixer.dt_min},
      {"time_step_max", mixer.dt_max},
      {"time_step_floor", mixer.dt_init_floor},
  };
  if (mixer.dt_limit_min > 0 || mixer.dt_limit_max < kNoLimit) {
    // No infinity in JSON: the largest float stands for it. Without limits the field is left out.
    const double top = std::numeric_limits<float>::max();
    json["time_step_limit"] = {mixer.dt_limit_min, std::min(mixer.dt_limit_max, top)};
  }
  if (mixer.n_groups > 1) json["norm_group"] = mixer.norm_group;
  return json;
}

}  // namespace adder::model
