// A model directory: config.json, model.safetensors (or shards with an index), and beside them a
// tokenizer and generation_config.json. What Hugging Face's mamba, falcon_mamba and mamba2 can
// express is written in their layout to the letter; anything else has model_type "adder" and holds
// Adder's own options. The Mamba authors' layout (config.json, pytorch_model.bin) is read and
// written too, Mistral's (params.json, consolidated.safetensors) is read.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "adder/io/json.h"
#include "adder/io/weights.h"
#include "adder/model/config.h"
#include "adder/model/special_tokens.h"

namespace adder::model {

/// Parameters by name, borrowed.
using Weights = std::map<std::string, TensorView>;

/// Reads any layout, told apart by content. Throws kConfig / kFormat naming the file and the field.
ModelConfig config_from_json(const io::Json& json, const std::string& file);

/// Hugging Face's layout when it can express `config`, else Adder's.
io::Json config_to_json(const ModelConfig& config);

/// Adder's own layout, which expresses every config.
io::Json config_to_adder(const ModelConfig& config);

/// Reads a config.json or params.json; `path` is the file.
ModelConfig read_config(const std::filesystem::path& path);

/// The file of `folder` that says what the model is: config.json, or params.json where there is no
/// config.json; config.json where there is neither.
std::filesystem::path config_file(const std::filesystem::path& folder);

/// The key of config.json that read_tokenizer_hash() reads.
inline constexpr const char* kTokenizerHash = "tokenizer_hash";

/// text::Tokenizer::hash() of the tokenizer that the model in `config_file` was trained with;
/// empty where the file does not say, as in the original layout.
std::string read_tokenizer_hash(const std::filesystem::path& config_file);

/// Where the bytes of the weights stand: aligned to their elements (what is not so in its file is
/// copied into memory), or as in the file, for save_model().
enum class Bytes { kAligned, kAsStored };

/// A model read from disk: weights stay memory-mapped while this lives.
class ModelDirectory {
 public:
  /// Reads and checks: every tensor of the config is there with its shape, nothing unexpected is.
  /// The older name backbone.embedding.weight is taken too; a stored copy of a tied head must be
  /// one, byte for byte. `bytes`: what computes on the weights needs them aligned to their
  /// elements.
  static ModelDirectory open(const std::filesystem::path& folder, Bytes bytes = Bytes::kAligned);

  const ModelConfig& config() const { return config_; }
  const Weights& weights() const { return weights_; }
  const SpecialTokens& special_tokens() const { return special_tokens_; }
  const std::filesystem::path& folder() const { return folder_; }

  /// Before the bytes of a weight are used: throws kIo when its file has become shorter, kFormat
  /// when it is not what its checksum says (torch files have some).
  void verify(const std::string& name) const { storage_->verify(stored_names_.at(name)); }
  /// Throws kIo when one of the files has become shorter.
  void check_sizes() const { storage_->check_sizes(); }

 private:
  std::filesystem::path folder_;
  ModelConfig config_;
  Weights weights_;
  SpecialTokens special_tokens_;
  std::map<std::string, std::string> stored_names_;  // of the weights
  std::shared_ptr<const io::Weights> storage_;
};

/// Throws kShape when a tensor of `config` is missing from `weights`, has another shape, is not
/// f32, bf16 or f16, or is unknown. `source` (a file or folder) begins the error's place.
void check_weights(const ModelConfig& config, const Weights& weights, const std::string& source);

/// What a folder is written as.
enum class SaveLayout {
  kAny,       // Hugging Face's where the model fits, else Adder's
  kHf,        // Hugging Face's
  kAdder,     // Adder's own
  kOriginal,  // the Mamba authors': config.json and pytorch_model.bin
};

struct SaveOptions {
  SpecialTokens special_tokens = {};
  /// read_tokenizer_hash() of what is written, but for the original layout, which has no such key.
  std::string tokenizer_hash = {};
  /// Type of the weights (f32, bf16 or f16), except those that keep f32; nothing: as they are.
  std::optional<DType> dtype = std::nullopt;
  SaveLayout layout = SaveLayout::kAny;
  /// The folder that the weights are of; each tensor is verified before it is written.
  const ModelDirectory* source = nullptr;
  /// Called with the bytes written so far, tensor after tensor; may be empty.
  std::function<void(int64_t)> progress = {};
};

/// Bytes of the weights that save_model() would write.
int64_t saved_bytes(const ModelConfig& config, const Weights& weights, std::optional<DType> dtype);

/// Writes the weights (one file, or for safetensors shards with an index above 5 GB),
/// generation_config.json, then config.json, each atomically; weights of another layout that stand
/// there go. Tied heads are stored once. At most one converted tensor is in memory. Throws
/// kUnsupported when the layout cannot express the model, kNumeric when a weight is too large for
/// the type.
void save_model(const std::filesystem::path& folder, const ModelConfig& config,
                const Weights& weights, const SaveOptions& options = {});

}  // namespace adder::model
