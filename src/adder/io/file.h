// Files: whole reads with a limit, read-only maps, and writes that happen completely or not at all.
// Every failure of the operating system is Error{kIo} (kNotFound when the file is not there) with
// its reason.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace adder::io {

/// The bytes of a text, for functions that take bytes.
inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

/// The whole content of a regular file. More than `max_bytes` is kFormat; a FIFO, device or
/// directory kIo.
std::string read_file(const std::filesystem::path& path, int64_t max_bytes);

/// A read-only map of a regular file, of the size it had when it was opened; move-only.
///
/// A map is only as good as the file under it: when another process truncates the file, touching
/// the lost pages kills the process (SIGBUS). check_size() before use turns the common case, a file
/// replaced in place by a shorter one, into an error; read_at() is safe in every case. Files that
/// Adder writes are replaced by rename, which leaves existing maps whole.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::span<const std::byte> bytes() const { return {data_, static_cast<std::size_t>(size_)}; }
  int64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }

  /// Throws kIo when the file is now shorter than when it was opened.
  void check_size() const;
  /// Copies [offset, offset + out.size()) by pread, not through the map. Throws kIo when it is not
  /// all there.
  void read_at(int64_t offset, std::span<std::byte> out) const;
  /// Tells the system that [offset, offset + size) will be read soon.
  void will_need(int64_t offset, int64_t size) const;

 private:
  void release() noexcept;

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  int64_t size_ = 0;
  int fd_ = -1;
};

/// A file written under a temporary name in the same folder and renamed into place by commit().
/// Without commit() nothing is left behind and the old file stays as it was. A symbolic link stays:
/// the file that it leads to is replaced. A device or FIFO gets the bytes as they are written.
class AtomicFile {
 public:
  /// Throws what resolve_output_file() throws (io/output_path.h), and kIo when nothing can be made.
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  /// Flushes to the disk, renames, flushes the folder.
  void commit();

 private:
  std::filesystem::path path_;
  std::filesystem::path temporary_;  // empty: the bytes go straight to path_
  int fd_ = -1;
};

/// One AtomicFile with one write.
void write_file_atomic(const std::filesystem::path& path, std::span<const std::byte> bytes);
void write_file_atomic(const std::filesystem::path& path, std::string_view text);

/// A folder that appears whole or not at all: files are written into staging(), which is
/// ".tmp-NAME-<pid>-<random>" beside the target; commit() flushes every file and folder and renames
/// it into place. Without commit() the staging folder is removed.
class AtomicDirectory {
 public:
  /// Makes the target's parents too. An existing target is kIo, an empty name kUsage.
  explicit AtomicDirectory(const std::filesystem::path& target);
  ~AtomicDirectory();
  AtomicDirectory(const AtomicDirectory&) = delete;
  AtomicDirectory& operator=(const AtomicDirectory&) = delete;

  const std::filesystem::path& staging() const { return staging_; }
  void commit();

 private:
  std::filesystem::path target_;
  std::filesystem::path staging_;
  bool committed_ = false;
};

/// Creates `path` and its parents; no error when they exist. A file in the way is kIo.
void make_directories(const std::filesystem::path& path);

/// Removes what killed processes left in `folder`: entries named ".tmp-..." in which nothing was
/// written for `age`. What cannot be removed stays, in silence.
void remove_old_temporaries(const std::filesystem::path& folder, std::chrono::seconds age);

/// Flushes a folder's entries (created, renamed, removed files) to the disk.
void sync_directory(const std::filesystem::path& path);

}  // namespace adder::io
