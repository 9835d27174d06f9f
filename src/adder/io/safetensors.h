// The safetensors format: 8 bytes of header length (little endian), a JSON header, the tensors'
// bytes. Reading is strict: whatever does not follow the format to the letter is Error{kFormat},
// before anything of the size that the file claims is allocated. Rules: huggingface/safetensors,
// README "Format".
#pragma once

#include <filesystem>
#include <vector>

#include "adder/io/tensor_file.h"

namespace adder::io {

class SafetensorsFile : public TensorFile {
 public:
  /// Throws kNotFound, kIo, kFormat (malformed) or kUnsupported (a dtype that Adder does not hold).
  static SafetensorsFile open(const std::filesystem::path& path);

 private:
  using TensorFile::TensorFile;
};

/// Writes `tensors` atomically. The bytes of the result are a function of the arguments alone:
/// tensors stand by element size (largest first), then by name, so that each is aligned. Throws
/// kShape when a tensor's bytes do not fit its dtype and shape, kFormat for an empty, repeated or
/// non-UTF-8 name.
void write_safetensors(const std::filesystem::path& path, const std::vector<TensorInfo>& tensors,
                       const Metadata& metadata = {});

/// The same with one tensor in memory at a time.
void stream_safetensors(const std::filesystem::path& path, std::vector<PendingTensor> tensors,
                        const Metadata& metadata = {});

}  // namespace adder::io
