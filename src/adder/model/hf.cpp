#include "adder/model/hf.h"

#include <algorithm>
#include <vector>

#include "adder/base/error.h"
#include "adder/model/hf_stack.h"
#include "adder/model/mamba1_spec.h"
#include "adder/model/option_check.h"

namespace adder::model {
namespace {

/// Every layout: one line each.
const std::vector<HfLayout>& layouts() {
  static const std::vector<HfLayout> list = {hf_mamba(), hf_falcon_mamba(), hf_mamba2()};
  return list;
}

/// The layout whose mixer fills every layer; null when there is none.
const HfLayout* layout_of(const ModelConfig& config) {
  const std::string& kind = config.layers.front();
  if (std::ranges::any_of(config.layers, [&](const auto& each) { return each != kind; })) {
    return nullptr;
  }
  if (kind == "mamba2") return find_hf_layout("mamba2");
  if (kind != "mamba1") return nullptr;
  const auto& mixer = static_cast<const Mamba1Spec&>(config.mixers.at("mamba1"));
  return find_hf_layout(mixer.norm_BCdt ? "falcon_mamba" : "mamba");
}

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : " ") + name;
  return text;
}

}  // namespace

const HfLayout* find_hf_layout(std::string_view model_type) {
  const auto found = std::ranges::find(layouts(), model_type, &HfLayout::model_type);
  return found == layouts().end() ? nullptr : &*found;
}

void hf_stack_fields(ConfigFields& fields, ModelConfig& config, bool tied) {
  fields.size("vocab_size", config.vocab_size);
  fields.size("hidden_size", config.d_model, {}, kMaxWidth);
  fields.size("num_hidden_layers", config.n_layer);
  fields.number("layer_norm_epsilon", config.norm_eps, 1e-5);
  fields.fixed("rms_norm", true);
  fields.flag("residual_in_fp32", config.residual_in_fp32, true);
  fields.flag("tie_word_embeddings", config.tie_embeddings, tied);
  fields.number("initializer_range", config.embedding_std, 0.1);
}

void refuse_other_stacks(const io::JsonView& root) {
  const auto act = root.find("hidden_act");
  if (act && act->as_string() != "silu" && act->as_string() != "swish") {
    unsupported_field(*act, "the activation must be silu");
  }
  for (const char* name : {"quantization_config", "attn_layer_idx", "mlp_layer_idx"}) {
    const auto field = root.find(name);
    if (field && !field->json().empty()) {
      unsupported_field(*field, "only plain stacks of one mixer are read");
    }
  }
}

ModelConfig read_foreign(const io::Json& json, const std::string& file,
                         ModelConfig (*read)(const io::JsonView& root)) {
  try {
    ModelConfig config = read(io::JsonView(json, file));
    config.check();
    return config;
  } catch (const Error& error) {
    const bool named = error.text().where.starts_with(file);
    if (error.kind() == ErrorKind::kConfig && !named) throw error.within(file);
    if (error.kind() == ErrorKind::kFormat) throw Error(ErrorKind::kConfig, error.text());
    throw;
  }
}

ModelConfig config_from_hf(const io::Json& json, const std::string& file) {
  const std::string type = io::JsonView(json, file).at("model_type").as_string();
  if (const HfLayout* layout = find_hf_layout(type)) return read_foreign(json, file, layout->read);
  std::string known;
  for (const HfLayout& layout : layouts()) known += ", " + std::string(layout.model_type);
  throw Error(ErrorKind::kUnsupported, {.what = "Adder does not read models of type '" + type + "'",
                                        .where = file + ": model_type",
                                        .why = "known types: adder" + known});
}

std::optional<Misfit> hf_misfit(const ModelConfig& config) {
  const HfLayout* layout = layout_of(config);
  if (layout == nullptr) return Misfit{"layers", joined(config.layers)};
  if (config.mlp.given()) return Misfit{"mlp.kind", config.mlp.kind};
  if (const auto misfit = stack_misfit(config)) return misfit;
  return layout->misfit(config);
}

io::Json config_to_hf(const ModelConfig& config) {
  require_fit("Hugging Face's layout", hf_misfit(config));
  const HfLayout& layout = *layout_of(config);
  io::Json json = {{"architectures", {layout.architecture}}, {"model_type", layout.model_type}};
  layout.write(config, json);
  return json;
}

}  // namespace adder::model
