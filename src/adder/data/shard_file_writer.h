// One file of a folder of token shards: hashed while it is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "adder/data/shard_manifest.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"

namespace adder::data {

class ShardFileWriter {
 public:
  ShardFileWriter(const std::filesystem::path& folder, const std::string& name)
      : file_(folder / name), entry_{.file = name} {}

  /// `value` in `bytes` bytes, little endian.
  void add(uint64_t value, int bytes) {
    for (int k = 0; k < bytes; ++k) buffer_.push_back(static_cast<std::byte>(value >> (8 * k)));
    if (buffer_.size() >= kBufferBytes) flush();
  }
  /// Elements are counted by the caller: they may be several values.
  void count(int64_t elements) { entry_.count += elements; }
  int64_t count() const { return entry_.count; }

  ShardFile finish() {
    flush();
    file_.commit();
    entry_.hash = hash_.hex();
    return entry_;
  }

 private:
  static constexpr size_t kBufferBytes = size_t{1} << 16;

  void flush() {
    file_.write(buffer_);
    hash_.add(buffer_);
    buffer_.clear();
  }

  io::AtomicFile file_;
  io::Hash128 hash_;
  ShardFile entry_;
  std::vector<std::byte> buffer_;
};

}  // namespace adder::data
