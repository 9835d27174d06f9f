#include "adder/model/directory.h"

#include <algorithm>
#include <set>
#include <span>

#include "adder/base/error.h"
#include "adder/io/weights.h"
#include "adder/model/convert.h"
#include "adder/model/hf.h"
#include "adder/model/option_json.h"

namespace adder::model {
namespace {

constexpr io::JsonLimits kConfigLimits = {.max_bytes = int64_t{16} << 20};
constexpr const char* kEmbedding = "backbone.embeddings.weight";
constexpr const char* kOldEmbedding = "backbone.embedding.weight";
constexpr const char* kHead = "lm_head.weight";

ModelConfig config_from_adder(io::Json json, const std::string& file) {
  json.erase("model_type");
  erase_special_tokens(json);
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

Weights borrow(const io::Weights& stored, bool tied) {
  Weights weights;
  for (const io::TensorInfo* info : stored.tensors()) {
    if (tied && info->name == kHead) continue;
    const io::TensorInfo& tensor = stored.tensor(info->name);
    weights[tensor.name == kOldEmbedding ? kEmbedding : tensor.name] = {
        const_cast<std::byte*>(tensor.bytes.data()), tensor.dtype, tensor.shape};
  }
  return weights;
}

}  // namespace

ModelConfig config_from_json(const io::Json& json, const std::string& file) {
  const std::string type = io::JsonView(json, file).at("model_type").as_string();
  if (type == "mamba2") return config_from_hf(json, file);
  if (type == "adder") return config_from_adder(json, file);
  throw Error(ErrorKind::kUnsupported, {.what = "Adder does not read models of type '" + type + "'",
                                        .where = file + ": model_type",
                                        .why = "known types: adder, mamba2"});
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

ModelDirectory ModelDirectory::open(const std::filesystem::path& folder) {
  ModelDirectory directory;
  directory.folder_ = folder;
  const std::filesystem::path file = folder / "config.json";
  const io::Json json = io::read_json_file(file, kConfigLimits);
  directory.config_ = config_from_json(json, file.string());
  directory.special_tokens_ = read_special_tokens(folder, json);
  const auto stored = std::make_shared<const io::Weights>(io::open_weights(folder));
  directory.weights_ = borrow(*stored, directory.config_.tie_embeddings);
  directory.storage_ = stored;
  check_weights(directory.config_, directory.weights_, folder.string());
  return directory;
}

void save_model(const std::filesystem::path& folder, const ModelConfig& config,
                const Weights& weights, const SaveOptions& options) {
  check_weights(config, weights, "the model to save");
  std::vector<std::vector<std::byte>> converted;
  std::vector<io::TensorInfo> tensors;
  for (const TensorSpec& spec : tensor_specs(config)) {
    const TensorView& tensor = weights.at(spec.name);
    const DType stored = !options.dtype  ? tensor.dtype
                         : spec.keep_f32 ? DType::f32
                                         : *options.dtype;
    const auto bytes = static_cast<std::size_t>(element_count(spec.shape) * size_of(tensor.dtype));
    std::span<const std::byte> data{static_cast<const std::byte*>(tensor.data), bytes};
    if (stored != tensor.dtype) data = converted.emplace_back(convert(tensor, stored));
    tensors.push_back({spec.name, stored, spec.shape, data});
  }
  io::make_directories(folder);
  io::write_weights(folder, tensors, {{"format", "pt"}});
  const io::Json special_tokens = special_tokens_to_json(options.special_tokens);
  io::write_json_file(folder / "generation_config.json", special_tokens);
  io::Json json = options.adder_layout ? config_to_adder(config) : config_to_json(config);
  json.update(special_tokens);
  if (json.at("model_type") == "mamba2") {
    const DType embedding = tensors.front().dtype;
    json["torch_dtype"] = embedding == DType::f32    ? "float32"
                          : embedding == DType::bf16 ? "bfloat16"
                                                     : "float16";
  }
  io::write_json_file(folder / "config.json", json);
}

}  // namespace adder::model
