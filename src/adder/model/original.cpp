#include "adder/model/original.h"

#include <algorithm>
#include <set>

#include "adder/model/hf.h"
#include "adder/model/option_check.h"
#include "adder/model/original_mixers.h"

namespace adder::model {
namespace {

constexpr int64_t kMlpMultiple = 128;  // GatedMLP rounds d_intermediate up to it
const io::Json kEmpty = io::Json::object();

struct Padding {
  int64_t vocab_size = 0, multiple = 1;
};

/// The fields that do not depend on the mixers.
void fields(ConfigFields& f, ModelConfig& config, Padding& padding) {
  f.size("d_model", config.d_model, {}, kMaxWidth);
  f.count("d_intermediate", config.mlp.d_hidden, 0);
  f.size("n_layer", config.n_layer, {}, kMaxLayers);
  f.size("vocab_size", padding.vocab_size, 50277, kMaxVocab);
  f.fixed("rms_norm", true);
  f.flag("residual_in_fp32", config.residual_in_fp32, true);
  f.size("pad_vocab_size_multiple", padding.multiple, 8, kMaxVocab);
  f.flag("tie_embeddings", config.tie_embeddings, true);
}

template <typename Spec>
Spec& spec(ModelConfig& config, std::string_view kind) {
  return static_cast<Spec&>(config.mixers.at(kind));
}

template <typename Spec>
const Spec& spec(const ModelConfig& config, std::string_view kind) {
  return static_cast<const Spec&>(config.mixers.at(kind));
}

io::JsonView object_or_empty(const io::JsonView& root, std::string_view key) {
  const auto found = root.find(key);
  return found ? *found : io::JsonView(kEmpty, root.name(), std::string(key));
}

/// The kind of the layers that are not attention.
std::string read_ssm(const io::JsonView& root, ModelConfig& config) {
  const io::JsonView cfg = object_or_empty(root, "ssm_cfg");
  if (!cfg.json().is_object()) cfg.fail("an object");
  const std::string layer = cfg.string("layer", "Mamba1");
  if (layer == "Mamba1") {
    read_original(cfg, spec<Mamba1Spec>(config, "mamba1"));
    return "mamba1";
  }
  if (layer != "Mamba2") unsupported_field(cfg.at("layer"), "Mamba1 and Mamba2 are known");
  read_original(cfg, spec<Mamba2Spec>(config, "mamba2"));
  return "mamba2";
}

void read_layers(const io::JsonView& root, ModelConfig& config) {
  config.layers = {read_ssm(root, config)};
  const auto places = root.find("attn_layer_idx");
  if (!places || (places->json().is_array() && places->json().empty())) return;
  config.layers.resize(static_cast<std::size_t>(config.n_layer), config.layers.front());
  std::set<int64_t> seen;
  for (const io::JsonView& place : places->items()) {
    const int64_t layer = place.as_integer(0, config.n_layer - 1);
    if (!seen.insert(layer).second) place.fail("each layer once");
    config.layers[static_cast<std::size_t>(layer)] = "softmax";
  }
  read_original(object_or_empty(root, "attn_cfg"), spec<SoftmaxSpec>(config, "softmax"),
                config.d_model);
}

ModelConfig read(const io::JsonView& root) {
  ModelConfig config;
  Padding padding;
  FieldReader reader(root);
  fields(reader, config, padding);
  reader.refuse_unknown({"ssm_cfg", "attn_layer_idx", "attn_cfg", "fused_add_norm"});
  root.boolean("fused_add_norm", true);  // how it is computed, not what
  config.vocab_size = padded_vocab(padding.vocab_size, padding.multiple);
  config.norm_eps = kOriginalEps;
  require_within("d_intermediate", config.mlp.d_hidden, 0, kMaxWidth);
  if (config.mlp.d_hidden > 0) {
    config.mlp.kind = "swiglu";
    config.mlp.d_hidden = (config.mlp.d_hidden + kMlpMultiple - 1) / kMlpMultiple * kMlpMultiple;
  }
  read_layers(root, config);
  return config;
}

/// The kinds in the order of the layers.
std::vector<std::string> kinds_of(const ModelConfig& config) {
  std::vector<std::string> kinds;
  for (int64_t i = 0; i < config.n_layer; ++i) kinds.emplace_back(config.mixer(i).kind());
  return kinds;
}

std::optional<Misfit> mlp_misfit(const ModelConfig& config) {
  if (!config.mlp.given()) return std::nullopt;
  if (config.mlp.kind != "swiglu") return Misfit{"mlp.kind", config.mlp.kind};
  if (config.mlp.bias) return Misfit{"mlp.bias", "true"};
  const int64_t hidden = config.mlp.hidden(config.d_model);
  if (hidden % kMlpMultiple != 0) return Misfit{"mlp.d_hidden", std::to_string(hidden)};
  return std::nullopt;
}

}  // namespace

bool is_original(const io::Json& json) {
  return json.is_object() && json.contains("d_model") && !json.contains("model_type");
}

int64_t padded_vocab(int64_t vocab_size, int64_t multiple) {
  return (vocab_size + multiple - 1) / multiple * multiple;
}

ModelConfig config_from_original(const io::Json& json, const std::string& file) {
  return read_foreign(json, file, read);
}

std::optional<Misfit> original_misfit(const ModelConfig& config) {
  const std::vector<std::string> kinds = kinds_of(config);
  const auto has = [&](const char* kind) { return std::ranges::find(kinds, kind) != kinds.end(); };
  if (has("mamba1") && has("mamba2")) return Misfit{"layers", "mamba1 beside mamba2"};
  for (const std::string& kind : kinds) {
    if (kind != "mamba1" && kind != "mamba2" && kind != "softmax") return Misfit{"layers", kind};
  }
  if (config.norm_eps != kOriginalEps) return Misfit{"norm_eps", "another value than 1e-5"};
  if (const auto misfit = stack_misfit(config)) return misfit;
  if (const auto misfit = mlp_misfit(config)) return misfit;
  std::optional<Misfit> misfit;
  if (has("mamba1")) misfit = original_misfit(spec<Mamba1Spec>(config, "mamba1"));
  if (has("mamba2")) misfit = original_misfit(spec<Mamba2Spec>(config, "mamba2"));
  if (!misfit && has("softmax")) misfit = original_misfit(spec<SoftmaxSpec>(config, "softmax"));
  return misfit;
}

io::Json config_to_original(const ModelConfig& config) {
  require_fit("The original authors' layout", original_misfit(config));
  ModelConfig copy = config;
  copy.mlp.d_hidden = config.mlp.given() ? config.mlp.hidden(config.d_model) : 0;
  Padding padding = {.vocab_size = config.vocab_size};
  io::Json json = io::Json::object();
  FieldWriter writer(json);
  fields(writer, copy, padding);
  json["fused_add_norm"] = true;
  const std::vector<std::string> kinds = kinds_of(config);
  const bool mamba2 = std::ranges::find(kinds, "mamba2") != kinds.end();
  json["ssm_cfg"] = mamba2 ? write_original(spec<Mamba2Spec>(config, "mamba2"))
                           : write_original(spec<Mamba1Spec>(config, "mamba1"));
  json["attn_layer_idx"] = io::Json::array();
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    if (kinds[i] == "softmax") json["attn_layer_idx"].push_back(i);
  }
  json["attn_cfg"] = json["attn_layer_idx"].empty()
                         ? io::Json::object()
                         : write_original(spec<SoftmaxSpec>(config, "softmax"), config.d_model);
  return json;
}

}  // namespace adder::model
