#include "adder/io/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include "adder/base/checked.h"
#include "adder/base/error.h"
#include "adder/io/descriptor.h"
#include "adder/io/output_path.h"

namespace adder::io {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kTemporary = ".tmp-";
constexpr std::size_t kMaxNamePart = 150;  // a file system takes names of 255 bytes

std::atomic<uint64_t> temporary_count{0};

// ".tmp-NAME-<pid>-<random>" beside `target`: processes of one number on several machines, or in
// several containers, may share a folder.
fs::path temporary_beside(const fs::path& target) {
  const fs::path clean = target.has_filename() ? target : target.parent_path();
  uint64_t random = temporary_count.fetch_add(1);
  uint64_t drawn = 0;
  if (getrandom(&drawn, sizeof(drawn), GRND_NONBLOCK) == sizeof(drawn)) random ^= drawn;
  return clean.parent_path() / fmt::format("{}{}-{}-{:016x}", kTemporary,
                                           clean.filename().string().substr(0, kMaxNamePart),
                                           getpid(), random);
}

// When something was last written in `path` or under it.
fs::file_time_type last_written(const fs::path& path) {
  fs::file_time_type last = fs::last_write_time(path);
  if (fs::is_symlink(path) || !fs::is_directory(path)) return last;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (!entry.is_symlink()) last = std::max(last, entry.last_write_time());
  }
  return last;
}

}  // namespace

std::string read_file(const fs::path& path, int64_t max_bytes) {
  const Descriptor file = Descriptor::open_regular(path);
  const int64_t size = file.size();
  if (size > max_bytes) {
    throw Error(ErrorKind::kFormat, {.what = "the file is too large",
                                     .where = path.string(),
                                     .why = std::to_string(size) + " bytes; at most " +
                                            std::to_string(max_bytes) + " are read"});
  }
  std::string content(static_cast<std::size_t>(size), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(content)));
  return content;
}

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  Descriptor file = Descriptor::open_regular(path);
  size_ = file.size();
  if (size_ > 0) {
    void* data =
        mmap(nullptr, static_cast<std::size_t>(size_), PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (data == MAP_FAILED) throw_errno("cannot map the file", path);
    data_ = static_cast<const std::byte*>(data);
  }
  fd_ = file.release();
}

MappedFile::~MappedFile() {
  release();
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      fd_(std::exchange(other.fd_, -1)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    release();
    path_ = std::move(other.path_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

void MappedFile::release() noexcept {
  if (data_ != nullptr) {
    munmap(const_cast<std::byte*>(data_), static_cast<std::size_t>(size_));
  }
  if (fd_ >= 0) close(fd_);
}

void MappedFile::check_size() const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) throw_errno("cannot look at the file", path_);
  if (status.st_size >= size_) return;
  throw Error(ErrorKind::kIo, {.what = "the file changed while it was read: it became shorter",
                               .where = path_.string(),
                               .why = std::to_string(size_) + " bytes when opened, " +
                                      std::to_string(status.st_size) + " now",
                               .next = "replace files by rename instead of writing over them"});
}

void MappedFile::read_at(int64_t offset, std::span<std::byte> out) const {
  read_all(fd_, offset, out, path_);
}

void MappedFile::will_need(int64_t offset, int64_t size) const {
  if (fd_ >= 0) posix_fadvise(fd_, offset, size, POSIX_FADV_WILLNEED);
}

AtomicFile::AtomicFile(const fs::path& path) {
  OutputPath output = resolve_output_file(path);
  path_ = std::move(output.path);
  if (output.direct) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
    if (fd_ < 0) throw_errno("cannot open for writing", path_);
    return;
  }
  temporary_ = temporary_beside(path_);
  fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) throw_errno("cannot create a file", temporary_);
}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  close(fd_);
  if (!temporary_.empty()) unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  write_all(fd_, bytes, path_);
}

void AtomicFile::commit() {
  if (temporary_.empty()) {
    if (close(std::exchange(fd_, -1)) != 0) throw_errno("cannot write the file", path_);
    return;
  }
  if (fsync(fd_) != 0) throw_errno("cannot write the file to the disk", path_);
  if (rename(temporary_.c_str(), path_.c_str()) != 0) {
    throw_errno("cannot rename the finished file into place", path_);
  }
  close(std::exchange(fd_, -1));
  sync_directory(folder_of(path_));
}

void write_file_atomic(const fs::path& path, std::span<const std::byte> bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void write_file_atomic(const fs::path& path, std::string_view text) {
  write_file_atomic(path, as_bytes(text));
}

AtomicDirectory::AtomicDirectory(const fs::path& target) : target_(target) {
  check_output_folder(target);
  make_directories(folder_of(target));
  staging_ = temporary_beside(target);
  if (mkdir(staging_.c_str(), 0777) != 0) throw_errno("cannot create a folder", staging_);
}

AtomicDirectory::~AtomicDirectory() {
  if (committed_) return;
  std::error_code code;
  fs::remove_all(staging_, code);
}

void AtomicDirectory::commit() {
  check_output_folder(target_);  // it may have come meanwhile
  std::error_code code;
  fs::recursive_directory_iterator walk(staging_, code);
  for (const fs::recursive_directory_iterator end; !code && walk != end; walk.increment(code)) {
    sync_directory(walk->path());  // fsync is the same call for a file and a folder
  }
  if (code) {
    throw Error(
        ErrorKind::kIo,
        {.what = "cannot list the folder", .where = staging_.string(), .why = code.message()});
  }
  sync_directory(staging_);
  if (rename(staging_.c_str(), target_.c_str()) != 0) {
    throw_errno("cannot rename the finished folder into place", target_);
  }
  committed_ = true;
  sync_directory(folder_of(target_));
}

void make_directories(const fs::path& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (!code && fs::is_directory(path, code)) return;
  throw Error(ErrorKind::kIo, {.what = "cannot create the folder",
                               .where = path.string(),
                               .why = code ? code.message() : "a file of that name is in the way"});
}

void remove_old_temporaries(const fs::path& folder, std::chrono::seconds age) {
  std::error_code code;
  const auto now = fs::file_time_type::clock::now();
  for (const auto& entry : fs::directory_iterator(folder, code)) {
    if (!entry.path().filename().string().starts_with(kTemporary)) continue;
    try {
      if (now - last_written(entry.path()) >= age) fs::remove_all(entry.path());
    } catch (const fs::filesystem_error&) {  // another's, or gone meanwhile
    }
  }
}

void sync_directory(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw_errno("cannot open for flushing", path);
  const int result = fsync(fd);
  const int reason = errno;
  close(fd);
  errno = reason;
  if (result != 0) throw_errno("cannot flush to the disk", path);
}

}  // namespace adder::io
