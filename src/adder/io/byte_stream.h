// The bytes of a file from its beginning to its end in bounded memory, decoded on the way.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>

namespace adder::io {

/// How the bytes of a file stand for its content.
enum class Coding { kPlain, kGzip, kZstd };

/// By the end of the name: .gz, .zst, else plain.
Coding coding_of(const std::filesystem::path& path);

/// Reads a regular file once, forwards. gzip (RFC 1952, also several members one after another) and
/// Zstandard (RFC 8878, also several frames) are decoded. Every failure is an Error with the file's
/// name: kNotFound, kIo, and kFormat for what is no gzip or zstd, is damaged, or ends too early.
class ByteStream {
 public:
  explicit ByteStream(const std::filesystem::path& path);
  ~ByteStream();
  ByteStream(ByteStream&&) noexcept;
  ByteStream& operator=(ByteStream&&) noexcept;

  /// Fills the beginning of `out` (not empty) and says how much; 0 at the end.
  size_t read(std::span<std::byte> out);

  /// Of the file itself, not of what it decodes to.
  int64_t file_bytes() const;
  int64_t file_bytes_read() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace adder::io
