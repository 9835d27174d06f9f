#include "adder/model/config.h"

#include "adder/base/checked.h"
#include "adder/model/option_check.h"
#include "adder/model/tensor_names.h"

namespace adder::model {
namespace {

const std::vector<std::string> kNorms = {"rms", "none"};

/// A mixer that changes the width must be the last thing before the head.
void check_width(const ModelConfig& config, int64_t layer) {
  const int64_t width = config.mixer(layer).d_out(config.place(layer));
  const bool free =
      layer == config.n_layer - 1 && !config.residual && !config.normed() && !config.mlp.given();
  if (width == config.d_model || (free && !config.tie_embeddings)) return;
  fail_option(config.layers[static_cast<std::size_t>(layer) % config.layers.size()] + ".d_out",
              std::to_string(width),
              "another width than d_model is possible in the last layer only, with residual = "
              "false, norm = none, mlp.kind = none and tie_embeddings = false");
}

}  // namespace

void ModelConfig::describe(OptionVisitor& v) {
  v.field("vocab_size", vocab_size, "rows of the embedding; 0: the tokenizer's size");
  v.field("d_model", d_model, "width of the residual stream");
  v.field("n_layer", n_layer, "blocks in the stack");
  v.field("layers", layers, "mixer of each layer; a shorter list repeats");
  v.choice("norm", norm, kNorms, "before each mixer and MLP, and after the last");
  v.field("norm_eps", norm_eps, "added to the mean square in the norms of the blocks");
  v.field("residual", residual, "blocks add to the stream; false: what a block gives replaces it");
  v.field("residual_in_fp32", residual_in_fp32, "keep the residual stream in fp32");
  v.field("tie_embeddings", tie_embeddings, "the head shares the embedding's weights");
  v.field("head_bias", head_bias, "bias of the head");
  v.field("embedding_std", embedding_std, "the embedding starts normal with this deviation");
  v.group("mlp", mlp);
  mixers.describe(v);
}

void ModelConfig::check() const {
  require_within("vocab_size", vocab_size, 1, kMaxVocab);
  require_within("d_model", d_model, 1, kMaxWidth);
  require_within("n_layer", n_layer, 1, kMaxLayers);
  require_choice("norm", norm, kNorms);
  require_number("norm_eps", norm_eps, 0, 1);
  require_number("embedding_std", embedding_std, 0, 1e6);
  if (layers.empty()) fail_option("layers", "[]", "it must name at least one mixer");
  if (static_cast<int64_t>(layers.size()) > n_layer) {
    fail_option("layers", std::to_string(layers.size()) + " names",
                "there are n_layer = " + std::to_string(n_layer) + " layers");
  }
  mlp.check();
  for (const std::string& kind : layers) mixers.at(kind).check(place(0));
  for (int64_t layer = 0; layer < n_layer; ++layer) check_width(*this, layer);
}

const MixerSpec& ModelConfig::mixer(int64_t layer) const {
  return mixers.at(layers[static_cast<std::size_t>(layer) % layers.size()]);
}

std::string layer_prefix(int64_t layer) {
  return "backbone.layers." + std::to_string(layer) + ".";
}
std::string mixer_prefix(int64_t layer) {
  return layer_prefix(layer) + "mixer.";
}

std::vector<TensorSpec> tensor_specs(const ModelConfig& config) {
  const Init one{Init::Kind::kConstant, 1};
  const Shape table = {config.vocab_size, config.d_model};
  std::vector<TensorSpec> specs;
  const auto add_norm = [&](std::string name) {
    if (!config.normed()) return;
    specs.push_back({std::move(name), {config.d_model}, one, false, true});
  };
  specs.push_back({kEmbedding, table, {Init::Kind::kNormal, config.embedding_std}, true, false});
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    const auto add = [&](std::vector<TensorSpec> tensors, const std::string& prefix) {
      for (TensorSpec& tensor : tensors) {
        tensor.name.insert(0, prefix);
        specs.push_back(std::move(tensor));
      }
    };
    add_norm(layer_prefix(layer) + "norm.weight");
    add(config.mixer(layer).tensors(config.place(layer)), mixer_prefix(layer));
    if (!config.mlp.given()) continue;
    add_norm(layer_prefix(layer) + "norm2.weight");
    add(config.mlp.tensors(config.place(layer)), layer_prefix(layer) + "mlp.");
  }
  add_norm(kFinalNorm);
  if (!config.tie_embeddings) {
    const int64_t width = config.d_readout();
    specs.push_back({kHead, {config.vocab_size, width}, uniform_fan_in(width), true, false});
  }
  if (config.head_bias) specs.push_back({kHeadBias, {config.vocab_size}, {}, false, true});
  return specs;
}

int64_t parameter_count(const ModelConfig& config) {
  int64_t count = 0;
  for (const TensorSpec& spec : tensor_specs(config)) {
    count = checked_add(count, element_count(spec.shape), "model", ErrorKind::kConfig);
  }
  return count;
}

double forward_flops(const ModelConfig& config, int64_t length) {
  double flops =
      2.0 * static_cast<double>(config.d_readout()) * static_cast<double>(config.vocab_size);
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    flops += config.mixer(layer).forward_flops(config.place(layer), length);
    flops += config.mlp.forward_flops(config.d_model);
  }
  return flops;
}

}  // namespace adder::model
