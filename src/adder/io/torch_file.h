// The files of torch.save (`pytorch_model.bin`): a zip archive with a pickle that describes tensors
// and one entry of bytes for each storage. Since torch 1.6; the older format is refused. The pickle
// is read as data (io/torch_pickle.h), the storages are mapped.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "adder/io/tensor_file.h"

namespace adder::io {

class TorchFile : public TensorFile {
 public:
  /// Throws kNotFound, kIo, kFormat (malformed) or kUnsupported (an older format, a pickle that
  /// holds more than tensors). Tensors whose elements do not stand row-major are put so in memory,
  /// as long as all of those together are no larger than the file. The pickle's checksum is looked
  /// at, those of the storages are by verify(): opening does not read the weights.
  static TorchFile open(const std::filesystem::path& path);

 private:
  using TensorFile::TensorFile;
};

/// Does the file begin as a zip archive or as an older torch file? Throws kNotFound or kIo when it
/// cannot be read.
bool is_torch_file(const std::filesystem::path& path);

/// Writes atomically what torch.load(path, weights_only=True) reads as a dictionary of the tensors
/// in their order, one tensor in memory at a time. `aliases` gives further names to some: the head
/// that is tied to the embedding, say. The bytes are a function of the arguments alone.
void stream_torch_file(const std::filesystem::path& path, const std::vector<PendingTensor>& tensors,
                       const std::map<std::string, std::string>& aliases = {});

}  // namespace adder::io
