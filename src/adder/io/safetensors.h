// The safetensors format: 8 bytes of header length (little endian), a JSON header, the tensors'
// bytes. Reading is strict: whatever does not follow the format to the letter is Error{kFormat},
// before anything of the size that the file claims is allocated. Rules: huggingface/safetensors,
// README "Format".
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "adder/base/dtype.h"
#include "adder/io/file.h"

namespace adder::io {

/// A named array and its bytes (little endian, row-major). Borrows the bytes.
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;        // empty: a scalar
  std::span<const std::byte> bytes;  // aligned to the element when it comes from a SafetensorsFile

  int64_t elements() const;
};

using Metadata = std::map<std::string, std::string>;

/// An open file. Tensors point into a map of it: they live as long as this object, are not to be
/// written, and share the map's caveat (io/file.h): tensor() refuses when the file has become
/// shorter since it was opened, read() is safe always. A tensor that stands in the file at an
/// address its type does not allow (old writers did not pad the header) is copied into memory once,
/// at open.
class SafetensorsFile {
 public:
  /// Throws kNotFound, kIo, kFormat (malformed) or kUnsupported (a dtype that Adder does not hold).
  static SafetensorsFile open(const std::filesystem::path& path);

  /// In the order of their bytes in the file.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// Null when there is none.
  const TensorInfo* find(std::string_view name) const;
  /// Throws kNotFound with the nearest name when there is none, kIo when the file has shrunk.
  const TensorInfo& tensor(std::string_view name) const;
  /// Copies the bytes of a tensor into `out` (of exactly its size) by reading the file, not its
  /// map.
  void read(std::string_view name, std::span<std::byte> out) const;

  const Metadata& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return file_.path(); }

 private:
  explicit SafetensorsFile(MappedFile file) : file_(std::move(file)) {}

  MappedFile file_;
  std::vector<TensorInfo> tensors_;
  std::vector<int64_t> offsets_;  // where each tensor begins in the file
  std::unordered_map<std::string_view, std::size_t> by_name_;
  std::vector<std::unique_ptr<double[]>> copies_;  // of misaligned tensors
  Metadata metadata_;
};

/// Writes `tensors` atomically. The bytes of the result are a function of the arguments alone:
/// tensors stand by element size (largest first), then by name, so that each is aligned. Throws
/// kShape when a tensor's bytes do not fit its dtype and shape, kFormat for an empty, repeated or
/// non-UTF-8 name.
void write_safetensors(const std::filesystem::path& path, std::vector<TensorInfo> tensors,
                       const Metadata& metadata = {});

}  // namespace adder::io
