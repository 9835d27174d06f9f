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

  /// Every tensor, shard by shard; the bytes as TensorFile::tensors() has them.
  const std::vector<const TensorInfo*>& tensors() const { return tensors_; }
  /// Null when there is none.
  const TensorInfo* find(std::string_view name) const;
  /// Throws kNotFound with the nearest name when there is none, kIo when its file has shrunk.
  const TensorInfo& tensor(std::string_view name) const;
  /// Of the first file that has any.
  const Metadata& metadata() const;
  const std::vector<TensorFile>& files() const { return files_; }

  /// TensorFile::verify() of a tensor that is there.
  void verify(std::string_view name) const { owner_.at(name)->verify(name); }
  /// Throws kIo when one of the files has shrunk.
  void check_sizes() const;

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

inline constexpr const char* kTorchFile = "pytorch_model.bin";

/// Removes from a model directory each file that open_weights() looks for but `kept`, which is in
/// place: weights of an earlier model in another layout.
void remove_other_weights(const std::filesystem::path& directory, std::string_view kept);

/// Writes model.safetensors into `directory`, or, when the tensors' bytes exceed `max_shard_bytes`,
/// model-0000k-of-0000n.safetensors in the given order and then model.safetensors.index.json. One
/// tensor is in memory at a time. Other weights that open_weights() would find go afterwards.
void write_weights(const std::filesystem::path& directory, std::vector<PendingTensor> tensors,
                   const Metadata& metadata = {}, int64_t max_shard_bytes = int64_t{5'000'000'000});

}  // namespace adder::io
