// An open file of the operating system, closed at the end of its life; for the sources of this
// room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace adder::io {

/// Throws what errno says about `path`: kNotFound for ENOENT, kIo for all else.
[[noreturn]] void throw_errno(const char* what, const std::filesystem::path& path);

/// Fills `out` from `offset`; interrupted and short reads go on. Throws kIo when the file ends
/// before.
void read_all(int fd, int64_t offset, std::span<std::byte> out, const std::filesystem::path& path);

/// Writes everything at the descriptor's position; interrupted and short writes go on.
void write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path);

class Descriptor {
 public:
  /// Opens for reading without waiting on a FIFO; anything but a regular file is kIo.
  static Descriptor open_regular(const std::filesystem::path& path);

  Descriptor(int fd, std::filesystem::path path) : fd_(fd), path_(std::move(path)) {}
  ~Descriptor();
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  int release();
  int64_t size() const;
  void read_at(int64_t offset, std::span<std::byte> out) const {
    read_all(fd_, offset, out, path_);
  }

 private:
  int fd_;
  std::filesystem::path path_;
};

}  // namespace adder::io
