// Named arrays, and an open file of them: what every format of weights is read as.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "adder/base/dtype.h"
#include "adder/io/file.h"

namespace adder::io {

/// A named array and its bytes (little endian, row-major). Borrows the bytes.
struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;        // empty: a scalar
  std::span<const std::byte> bytes;  // where they stand: TensorFile says when that is aligned

  int64_t elements() const;
};

/// An array to be written, whose bytes are asked for once, when its turn comes; they are used
/// before those of the next one are asked for. So a model is written with one tensor in memory.
struct PendingTensor {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  std::function<std::span<const std::byte>()> bytes;

  /// Of dtype and shape. Throws kShape when that overflows.
  int64_t size() const;
};

/// Arrays that are in memory already.
std::vector<PendingTensor> pending(const std::vector<TensorInfo>& tensors);

using Metadata = std::map<std::string, std::string>;

/// An open file. Tensors point into a map of it: they live as long as this object, are not to be
/// written, and share the map's caveat (io/file.h): tensor() refuses when the file has become
/// shorter since it was opened, read() is safe always. A tensor that does not stand in the file
/// row-major is put so in memory at open.
class TensorFile {
 public:
  /// In the order of their bytes in the file, which may stand at any address: what streams them
  /// takes them from here.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }
  /// Aligned to the element: one that is not so in the file is copied into memory the first time
  /// (not from two threads at once). Null when there is none.
  const TensorInfo* find(std::string_view name) const;
  /// The same. Throws kNotFound with the nearest name when there is none, kIo when the file has
  /// shrunk.
  const TensorInfo& tensor(std::string_view name) const;
  /// Copies the bytes of a tensor into `out` (of exactly its size) by reading the file, not its
  /// map.
  void read(std::string_view name, std::span<std::byte> out) const;
  /// Before a tensor's bytes are used: throws kIo when the file has shrunk, kFormat when the bytes
  /// have a checksum in the file and it is another (each is computed once; not from two threads at
  /// once).
  void verify(std::string_view name) const;
  /// Throws kIo when the file has shrunk.
  void check_size() const { file_.check_size(); }

  const Metadata& metadata() const { return metadata_; }
  const std::filesystem::path& path() const { return file_.path(); }

 protected:
  /// A part of the file, inside it.
  struct Checked {
    int64_t offset = 0, size = 0;
    uint32_t crc = 0;  // CRC-32; 0: its writer left it out
    bool operator<(const Checked& other) const { return offset < other.offset; }
  };

  explicit TensorFile(MappedFile file) : file_(std::move(file)) {}

  /// Adds a tensor that stands row-major in the file, `offset` (inside it) from its begin.
  void add(std::string name, DType dtype, std::vector<int64_t> shape, int64_t offset,
           int64_t bytes);
  /// Adds a tensor that does not: the bytes to fill.
  std::span<std::byte> add_copy(std::string name, DType dtype, std::vector<int64_t> shape,
                                int64_t bytes);
  /// Says where the tensor that was added last comes from.
  void set_checksum(const Checked& part) { places_.back().part = part; }
  /// After the last add(): find() works.
  void index_names();

  MappedFile file_;
  Metadata metadata_;

 private:
  struct Place {
    int64_t offset = 0;  // where it begins in the file; -1: only in memory
    Checked part = {};
  };
  using Room = std::unique_ptr<double[]>;  // aligned to every element

  std::size_t index_of(std::string_view name) const;  // throws kNotFound
  const TensorInfo& aligned(std::size_t index) const;

  std::vector<TensorInfo> tensors_;
  std::vector<Place> places_;
  std::unordered_map<std::string_view, std::size_t> by_name_;
  std::vector<Room> copies_;
  mutable std::map<std::size_t, std::pair<TensorInfo, Room>> aligned_;
  mutable std::set<Checked> verified_;
};

/// Opens a safetensors or a torch zip file, told apart by content. Throws what their open() throws.
TensorFile open_tensor_file(const std::filesystem::path& path);

}  // namespace adder::io
