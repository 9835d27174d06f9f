#include "adder/model/directory.h"

#include <algorithm>
#include <set>

#include "adder/base/error.h"
#include "adder/model/hf.h"
#include "adder/model/mistral.h"
#include "adder/model/option_json.h"
#include "adder/model/original.h"
#include "adder/model/tensor_names.h"

namespace adder::model {
namespace {

constexpr io::JsonLimits kConfigLimits = {.max_bytes = int64_t{16} << 20};

ModelConfig config_from_adder(io::Json json, const std::string& file) {
  json.erase("model_type");
  erase_special_tokens(json);
  json.erase(kTokenizerHash);
  for (const char* name : {"vocab_size", "d_model", "n_layer", "layers"}) {
    if (json.contains(name)) continue;
    throw Error(ErrorKind::kConfig,
                {.what = std::string("'") + name + "' is missing", .where = file});
  }
  ModelConfig config;
  options_from_json(json, flatten(config), file);
  try {
    config.check();
  } catch (const Error& error) {
    throw error.within(file);
  }
  return config;
}

[[noreturn]] void wrong_tensor(const std::string& source, const std::string& name,
                               std::string why) {
  throw Error(ErrorKind::kShape, {.what = "the weights do not fit the model's configuration",
                                  .where = source + ", tensor '" + name + "'",
                                  .why = std::move(why)});
}

void check_tensor(const TensorSpec& spec, const Weights& weights, const std::string& source) {
  const auto found = weights.find(spec.name);
  if (found == weights.end()) wrong_tensor(source, spec.name, "it is missing");
  const TensorView& tensor = found->second;
  if (tensor.shape != spec.shape) {
    wrong_tensor(source, spec.name,
                 "its shape is " + to_string(tensor.shape) + ", the configuration asks for " +
                     to_string(spec.shape));
  }
  if (tensor.dtype != DType::f32 && tensor.dtype != DType::bf16 && tensor.dtype != DType::f16) {
    wrong_tensor(source, spec.name,
                 "its type is " + std::string(adder::to_string(tensor.dtype)) +
                     ", weights are f32, bf16 or f16");
  }
}

/// The name of a stored tensor in Adder's layout: the Mamba authors' embedding and Mistral's prefix
/// differ.
std::string own_name(std::string_view name) {
  constexpr std::string_view prefix = "model.";
  if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
  return std::string(name == kOriginalEmbedding ? kEmbedding : name);
}

/// The stored tensors by Adder's names.
std::map<std::string, const io::TensorInfo*> by_own_name(const io::Weights& stored,
                                                         const std::string& source) {
  std::map<std::string, const io::TensorInfo*> tensors;
  for (const io::TensorInfo* info : stored.tensors()) {
    const std::string name = own_name(info->name);
    if (!tensors.emplace(name, info).second) wrong_tensor(source, name, "it stands there twice");
  }
  return tensors;
}

/// A tied head that is stored all the same says nothing that the embedding does not.
void check_tied_head(const io::TensorInfo& head, const io::TensorInfo* embedding,
                     const std::string& source) {
  if (embedding == nullptr) return;  // check_weights() says so
  const bool same_bytes = head.bytes.size() == embedding->bytes.size() &&
                          (head.bytes.data() == embedding->bytes.data() ||
                           std::ranges::equal(head.bytes, embedding->bytes));
  if (head.dtype == embedding->dtype && head.shape == embedding->shape && same_bytes) return;
  throw Error(ErrorKind::kShape,
              {.what = "the weights do not fit the model's configuration",
               .where = source + ", tensor '" + kHead + "'",
               .why = "it is tied to the embedding, whose type, shape or values differ",
               .next = "if the head has weights of its own, set tie_embeddings = false "
                       "(tie_word_embeddings in Hugging Face's layout)"});
}

}  // namespace

ModelConfig config_from_json(const io::Json& json, const std::string& file) {
  if (is_mistral(json)) return config_from_mistral(json, file);
  if (is_original(json)) return config_from_original(json, file);
  if (!json.is_object() || !json.contains("model_type")) {
    throw Error(ErrorKind::kConfig,
                {.what = "the configuration does not say what the model is",
                 .where = file,
                 .why = "neither model_type (Hugging Face, Adder), d_model (the Mamba authors) nor "
                        "dim and n_layers (Mistral) are there"});
  }
  if (json.at("model_type") == "adder") return config_from_adder(json, file);
  return config_from_hf(json, file);
}

io::Json config_to_json(const ModelConfig& config) {
  return hf_misfit(config) ? config_to_adder(config) : config_to_hf(config);
}

io::Json config_to_adder(const ModelConfig& config) {
  ModelConfig copy = config;
  std::vector<OptionEntry> entries = flatten(copy);
  const std::vector<std::string> kinds = config.mixers.kinds();
  std::erase_if(entries, [&](const OptionEntry& entry) {  // options of mixers that no layer uses
    return std::any_of(kinds.begin(), kinds.end(), [&](const std::string& kind) {
      return entry.key.starts_with(kind + ".") &&
             std::find(config.layers.begin(), config.layers.end(), kind) == config.layers.end();
    });
  });
  io::Json json = {{"model_type", "adder"}};
  json.update(options_to_json(entries));
  return json;
}

std::string read_tokenizer_hash(const std::filesystem::path& config_file) {
  const io::Json json = io::read_json_file(config_file, kConfigLimits);
  const io::JsonView root(json, config_file.string());
  return root.string(kTokenizerHash, "");
}

ModelConfig read_config(const std::filesystem::path& path) {
  return config_from_json(io::read_json_file(path, kConfigLimits), path.string());
}

void check_weights(const ModelConfig& config, const Weights& weights, const std::string& source) {
  std::set<std::string> known;
  for (const TensorSpec& spec : tensor_specs(config)) {
    check_tensor(spec, weights, source);
    known.insert(spec.name);
  }
  if (config.tie_embeddings) known.insert(kHead);
  for (const auto& [name, tensor] : weights) {
    if (!known.contains(name)) wrong_tensor(source, name, "the configuration has no such tensor");
  }
}

std::filesystem::path config_file(const std::filesystem::path& folder) {
  const std::filesystem::path config = folder / "config.json", params = folder / "params.json";
  std::error_code code;
  const bool mistral =
      !std::filesystem::exists(config, code) && std::filesystem::exists(params, code);
  return mistral ? params : config;
}

ModelDirectory ModelDirectory::open(const std::filesystem::path& folder, Bytes bytes) {
  ModelDirectory directory;
  directory.folder_ = folder;
  const std::filesystem::path file = config_file(folder);
  const io::Json json = io::read_json_file(file, kConfigLimits);
  directory.config_ = config_from_json(json, file.string());
  directory.special_tokens_ =
      read_special_tokens(folder, json, file.string(), directory.config_.vocab_size);
  directory.storage_ = std::make_shared<const io::Weights>(io::open_weights(folder));
  auto stored = by_own_name(*directory.storage_, folder.string());
  if (const auto head = stored.find(kHead);
      head != stored.end() && directory.config_.tie_embeddings) {
    const auto embedding = stored.find(kEmbedding);
    check_tied_head(*head->second, embedding == stored.end() ? nullptr : embedding->second,
                    folder.string());
    stored.erase(head);
  }
  for (const auto& [name, info] : stored) {
    const io::TensorInfo& tensor =
        bytes == Bytes::kAligned ? directory.storage_->tensor(info->name) : *info;
    directory.weights_[name] = {const_cast<std::byte*>(tensor.bytes.data()), tensor.dtype,
                                tensor.shape};
    directory.stored_names_[name] = info->name;
  }
  check_weights(directory.config_, directory.weights_, folder.string());
  return directory;
}

}  // namespace adder::model
