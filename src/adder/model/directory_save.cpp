// save_model(): a model directory in any layout that Adder writes.
#include <memory>
#include <span>

#include "adder/base/error.h"
#include "adder/io/torch_file.h"
#include "adder/io/weights.h"
#include "adder/model/convert.h"
#include "adder/model/directory.h"
#include "adder/model/hf.h"
#include "adder/model/original.h"
#include "adder/model/tensor_names.h"

namespace adder::model {
namespace {

/// The type that a tensor of `spec` is stored as.
DType stored_dtype(const TensorSpec& spec, const TensorView& tensor, std::optional<DType> dtype) {
  if (!dtype) return tensor.dtype;
  return spec.keep_f32 ? DType::f32 : *dtype;
}

/// The weights in the order of the forward pass, each converted when its turn comes.
std::vector<io::PendingTensor> pending_weights(const ModelConfig& config, const Weights& weights,
                                               const SaveOptions& options) {
  const auto room = std::make_shared<std::vector<std::byte>>();  // of the one being written
  const auto done = std::make_shared<int64_t>(0);
  std::vector<io::PendingTensor> tensors;
  for (const TensorSpec& spec : tensor_specs(config)) {
    const TensorView& tensor = weights.at(spec.name);
    const DType stored = stored_dtype(spec, tensor, options.dtype);
    const auto bytes = [room, done, tensor, stored, name = spec.name, source = options.source,
                        progress = options.progress] {
      if (source != nullptr) source->verify(name);
      const int64_t elements = element_count(tensor.shape);
      if (progress) progress(*done);
      *done += elements * size_of(stored);
      if (stored == tensor.dtype) {
        return std::span(static_cast<const std::byte*>(tensor.data),
                         static_cast<std::size_t>(elements * size_of(stored)));
      }
      room->clear();
      room->shrink_to_fit();  // the old one goes before the new one comes
      try {
        *room = convert(tensor, stored);
      } catch (const Error& error) {
        throw error.within("tensor '" + name + "'");
      }
      return std::span<const std::byte>(*room);
    };
    tensors.push_back({spec.name, stored, spec.shape, bytes});
  }
  return tensors;
}

void save_original(const std::filesystem::path& folder, const ModelConfig& config,
                   std::vector<io::PendingTensor> tensors) {
  std::map<std::string, std::string> aliases;
  if (config.tie_embeddings) aliases[kHead] = kOriginalEmbedding;
  for (io::PendingTensor& tensor : tensors) {
    if (tensor.name == kEmbedding) tensor.name = kOriginalEmbedding;
  }
  io::stream_torch_file(folder / io::kTorchFile, tensors, aliases);
  io::remove_other_weights(folder, io::kTorchFile);
}

io::Json config_in(SaveLayout layout, const ModelConfig& config) {
  switch (layout) {
    case SaveLayout::kHf:
      return config_to_hf(config);
    case SaveLayout::kAdder:
      return config_to_adder(config);
    case SaveLayout::kOriginal:
      return config_to_original(config);
    default:
      return config_to_json(config);
  }
}

}  // namespace

int64_t saved_bytes(const ModelConfig& config, const Weights& weights, std::optional<DType> dtype) {
  int64_t bytes = 0;
  for (const TensorSpec& spec : tensor_specs(config)) {
    bytes += element_count(spec.shape) * size_of(stored_dtype(spec, weights.at(spec.name), dtype));
  }
  return bytes;
}

void save_model(const std::filesystem::path& folder, const ModelConfig& config,
                const Weights& weights, const SaveOptions& options) {
  check_weights(config, weights, "the model to save");
  io::Json json = config_in(options.layout, config);
  std::vector<io::PendingTensor> tensors = pending_weights(config, weights, options);
  const DType embedding = tensors.front().dtype;
  io::make_directories(folder);
  const bool original = options.layout == SaveLayout::kOriginal;
  try {
    if (original) {
      save_original(folder, config, std::move(tensors));
    } else {
      io::write_weights(folder, std::move(tensors), {{"format", "pt"}});
    }
  } catch (const Error&) {  // a write of bytes that are gone looks like a fault of the output
    if (options.source != nullptr) options.source->check_sizes();
    throw;
  }
  const io::Json special_tokens = special_tokens_to_json(options.special_tokens);
  io::write_json_file(folder / "generation_config.json", special_tokens);
  if (!original) json.update(special_tokens);  // MambaConfig has no such fields
  if (!original && !options.tokenizer_hash.empty()) json[kTokenizerHash] = options.tokenizer_hash;
  if (json.contains("architectures")) {
    json["torch_dtype"] = embedding == DType::f32    ? "float32"
                          : embedding == DType::bf16 ? "bfloat16"
                                                     : "float16";
  }
  io::write_json_file(folder / "config.json", json);
}

}  // namespace adder::model
