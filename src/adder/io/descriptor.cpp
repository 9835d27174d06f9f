#include "adder/io/descriptor.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "adder/base/error.h"

namespace adder::io {

void throw_errno(const char* what, const std::filesystem::path& path) {
  const int reason = errno;
  const auto kind = reason == ENOENT ? ErrorKind::kNotFound : ErrorKind::kIo;
  throw Error(kind, {.what = what,
                     .where = path.string(),
                     .why = std::strerror(reason),
                     .next = reason == ENOSPC ? "free some space on that disk" : ""});
}

void read_all(int fd, int64_t offset, std::span<std::byte> out, const std::filesystem::path& path) {
  while (!out.empty()) {
    const ssize_t count = pread(fd, out.data(), out.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno("cannot read the file", path);
    if (count == 0) {
      throw Error(ErrorKind::kIo, {.what = "the file ends too early",
                                   .where = path.string(),
                                   .why = std::to_string(out.size()) + " bytes are missing",
                                   .next = "an incomplete download, or a file being written?"});
    }
    offset += count;
    out = out.subspan(static_cast<std::size_t>(count));
  }
}

void write_all(int fd, std::span<const std::byte> bytes, const std::filesystem::path& path) {
  constexpr std::size_t kPiece = std::size_t{1} << 30;  // Linux writes at most 2 GiB in one call
  while (!bytes.empty()) {
    const ssize_t count = ::write(fd, bytes.data(), std::min(bytes.size(), kPiece));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_errno("cannot write the file", path);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

Descriptor Descriptor::open_regular(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) throw_errno("cannot open the file", path);
  struct stat status {};
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    close(fd);
    throw Error(ErrorKind::kIo, {.what = "this is not a regular file",
                                 .where = path.string(),
                                 .why = S_ISDIR(status.st_mode) ? "it is a folder" : ""});
  }
  return {fd, path};
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) close(fd_);
}

int Descriptor::release() {
  return std::exchange(fd_, -1);
}

int64_t Descriptor::size() const {
  struct stat status {};
  if (fstat(fd_, &status) != 0) throw_errno("cannot look at the file", path_);
  return status.st_size;
}

}  // namespace adder::io
