// All weights of a model directory as one lookup, whether they stand in one file or in shards.
#pragma once

#include <filesystem>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "adder/io/tensor_file.h"

namespace adder::io {

/// Open files and their tensors by name; the tensors live as long as this object (moving it is
/// fine).
class Weights {
 public:
  explicit Weights(std::vector<TensorFile> files);

  /// Every tensor, shard by shard.
  const std::vector<const TensorInfo*>& tensors() const { return tensors_; }
  /// Null when there is none.
  const TensorInfo* find(std::string_view name) const;
  /// Throws kNotFound with the nearest name when there is none, kIo when its file has shrunk.
  const TensorInfo& tensor(std::string_view name) const;
  /// Of the first file that has any.
  const Metadata& metadata() const;
  const std::vector<TensorFile>& files() const { return files_; }

 private:
  std::vector<TensorFile> files_;
  std::vector<const TensorInfo*> tensors_;
  std::unordered_map<std::string_view, const TensorFile*> owner_;
};

/// Opens `path`: a safetensors or torch file, or a model directory, in which the first of these is
/// taken: model.safetensors, model.safetensors.index.json and its shards, consolidated.safetensors,
/// pytorch_model.bin, pytorch_model.bin.index.json and its shards. An index must be right: shard
/// names stay in the folder, every tensor is in the shard named for it and in no other, the total
/// size is the one given.
Weights open_weights(const std::filesystem::path& path);

/// Writes model.safetensors into `directory`, or, when the tensors' bytes exceed `max_shard_bytes`,
/// model-0000k-of-0000n.safetensors in the given order and then model.safetensors.index.json. One
/// tensor is in memory at a time.
void write_weights(const std::filesystem::path& directory, std::vector<PendingTensor> tensors,
                   const Metadata& metadata = {}, int64_t max_shard_bytes = int64_t{5'000'000'000});

}  // namespace adder::io
