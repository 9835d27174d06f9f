#include "adder/io/output_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "adder/base/error.h"
#include "adder/io/descriptor.h"

namespace adder::io {
namespace fs = std::filesystem;
namespace {

constexpr int kMaxLinks = 40;  // as Linux follows

[[noreturn]] void refuse(const fs::path& path, const std::string& what, const std::string& why) {
  throw Error(
      ErrorKind::kIo,
      {.what = what, .where = path.string(), .why = why, .next = "give another name or remove it"});
}

void check_name(const fs::path& path) {
  if (!path.empty()) return;
  throw Error(ErrorKind::kUsage, {.what = "the name of an output is empty", .next = "give a name"});
}

bool is_link(const fs::path& path) {
  std::error_code code;
  return fs::is_symlink(fs::symlink_status(path, code));
}

// /dev/stdout, /dev/fd/3: links to what a descriptor has open, be it a plain file.
bool names_a_descriptor(const fs::path& path) {
  std::error_code code;
  const fs::path folder = fs::canonical(folder_of(path), code);
  return !code && is_link(path) && (folder == "/dev" || folder.string().starts_with("/proc/"));
}

// The end of a chain of links, there or not.
fs::path follow(fs::path path) {
  for (int i = 0; i < kMaxLinks && is_link(path); ++i) {
    path = folder_of(path) / fs::read_symlink(path);
  }
  return path;
}

}  // namespace

fs::path folder_of(const fs::path& path) {
  const fs::path clean = path.has_filename() ? path : path.parent_path();
  return clean.has_parent_path() ? clean.parent_path() : fs::path(".");
}

OutputPath resolve_output_file(const fs::path& path) {
  check_name(path);
  struct stat status {};
  if (stat(path.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) refuse(path, "cannot write a file there", "it is a folder");
    if (S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode)) return {path, true};
    if (!S_ISREG(status.st_mode)) {
      refuse(path, "cannot write a file there", "it is neither a file, a device nor a FIFO");
    }
    if (names_a_descriptor(path)) return {path, true};
  } else if (errno != ENOENT) {
    throw_errno("cannot write a file there", path);
  }
  const fs::path target = follow(path);
  std::error_code code;
  if (!fs::is_directory(folder_of(target), code)) {
    throw Error(ErrorKind::kNotFound, {.what = "there is no such folder to write in",
                                       .where = folder_of(target).string(),
                                       .next = "make it first, or give another name"});
  }
  if (!target.has_filename()) refuse(path, "cannot write a file there", "it names a folder");
  return {target, false};
}

void check_output_file(const fs::path& path) {
  const OutputPath output = resolve_output_file(path);
  const fs::path& written = output.direct ? output.path : folder_of(output.path);
  if (access(written.c_str(), W_OK) != 0) throw_errno("cannot write there", written);
}

void check_output_folder(const fs::path& path) {
  check_name(path);
  std::error_code code;
  if (fs::exists(fs::symlink_status(path, code))) {
    refuse(path, "an output folder is in the way", "something of that name exists already");
  }
}

}  // namespace adder::io
