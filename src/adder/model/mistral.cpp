#include "adder/model/mistral.h"

#include "adder/model/config_fields.h"
#include "adder/model/hf.h"
#include "adder/model/option_check.h"
#include "adder/model/original.h"
#include "adder/model/original_mixers.h"

namespace adder::model {
namespace {

ModelConfig read(const io::JsonView& root) {
  ModelConfig config;
  config.layers = {"mamba2"};
  auto& mixer = static_cast<Mamba2Spec&>(config.mixers.at("mamba2"));
  const io::Json defaults = io::Json::object();
  read_original(io::JsonView(defaults, root.name()), mixer);
  int64_t vocab_size = 0, multiple = 1;
  FieldReader reader(root);
  ConfigFields& f = reader;
  f.size("dim", config.d_model, {}, kMaxWidth);
  f.size("n_layers", config.n_layer, {}, kMaxLayers);
  f.size("vocab_size", vocab_size, {}, kMaxVocab);
  f.size("n_groups", mixer.n_groups);
  f.size("pad_vocab_size_multiple", multiple, 1, kMaxVocab);
  f.fixed("rms_norm", true);
  f.flag("residual_in_fp32", config.residual_in_fp32, true);
  f.flag("tie_embeddings", config.tie_embeddings, false);
  f.fixed("model_type", "mamba");
  reader.refuse_unknown({"fused_add_norm", "bos_token_id", "eos_token_id", "pad_token_id"});
  config.vocab_size = padded_vocab(vocab_size, multiple);
  config.norm_eps = kOriginalEps;
  return config;
}

}  // namespace

bool is_mistral(const io::Json& json) {
  return json.is_object() && json.contains("dim") && json.contains("n_layers") &&
         !json.contains("hidden_size");
}

ModelConfig config_from_mistral(const io::Json& json, const std::string& file) {
  return read_foreign(json, file, read);
}

}  // namespace adder::model
