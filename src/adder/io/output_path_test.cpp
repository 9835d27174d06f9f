#include "adder/io/output_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "adder/io/file.h"
#include "adder/io/testing.h"

namespace adder::io {
namespace {

namespace fs = std::filesystem;
using testing::kind_of;
using testing::TemporaryFolder;

TEST(OutputPath, RefusesAtOnce) {
  const TemporaryFolder folder;
  fs::create_symlink("loop", folder.path() / "loop");
  const auto try_all = [](const fs::path& path, ErrorKind kind) {
    EXPECT_EQ(kind_of([&] { resolve_output_file(path); }), kind) << path;
    EXPECT_EQ(kind_of([&] { check_output_file(path); }), kind) << path;
    EXPECT_EQ(kind_of([&] { const AtomicFile file(path); }), kind) << path;
  };
  try_all("", ErrorKind::kUsage);
  try_all(folder.path(), ErrorKind::kIo);
  try_all(folder.path() / "new" / "", ErrorKind::kIo);
  try_all(folder.path() / "no" / "a", ErrorKind::kNotFound);
  try_all(folder.path() / "loop", ErrorKind::kIo);
  try_all(folder.file("file", "") / "a", ErrorKind::kIo);
  EXPECT_EQ(folder.entries(), 2);
  check_output_file(folder.path() / "new");
  check_output_file("new");
}

TEST(OutputPath, AFifoStaysAndGetsTheBytes) {
  const TemporaryFolder folder;
  const auto fifo = folder.path() / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const int reader = open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  ASSERT_GE(reader, 0);
  fs::create_symlink("fifo", folder.path() / "link");
  for (const char* name : {"fifo", "link"}) {
    write_file_atomic(folder.path() / name, "words");
    std::array<char, 9> got{};
    EXPECT_EQ(read(reader, got.data(), got.size()), 5);
    EXPECT_EQ(std::string(got.data()), "words");
  }
  close(reader);
  EXPECT_TRUE(fs::is_fifo(fs::symlink_status(fifo)));
  EXPECT_TRUE(fs::is_symlink(folder.path() / "link"));
  EXPECT_EQ(folder.entries(), 2);
}

TEST(OutputPath, ADescriptorIsWrittenTo) {
  const TemporaryFolder folder;
  const auto path = folder.file("a", "");
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  ASSERT_GE(fd, 0);
  struct stat before {};
  struct stat after {};
  ASSERT_EQ(fstat(fd, &before), 0);
  write_file_atomic("/proc/self/fd/" + std::to_string(fd), "words");
  EXPECT_EQ(read_file(path, 9), "words");
  ASSERT_EQ(stat(path.c_str(), &after), 0);
  EXPECT_EQ(before.st_ino, after.st_ino);
  close(fd);
}

TEST(OutputPath, ALinkStaysAndItsTargetIsReplaced) {
  const TemporaryFolder folder;
  fs::create_directory(folder.path() / "far");
  folder.file("far/a", "old");
  fs::create_symlink("far/a", folder.path() / "link");
  fs::create_symlink("link", folder.path() / "chain");
  fs::create_symlink("far/new", folder.path() / "dangling");
  write_file_atomic(folder.path() / "chain", "one");
  EXPECT_EQ(read_file(folder.path() / "far" / "a", 9), "one");
  write_file_atomic(folder.path() / "dangling", "two");
  EXPECT_EQ(read_file(folder.path() / "far" / "new", 9), "two");
  for (const char* name : {"link", "chain", "dangling"}) {
    EXPECT_TRUE(fs::is_symlink(folder.path() / name)) << name;
  }
  EXPECT_EQ(folder.entries(), 4);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path() / "far"), {}), 2);
}

}  // namespace
}  // namespace adder::io
