#include "adder/io/file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <vector>

#include "adder/io/descriptor.h"
#include "adder/io/testing.h"

namespace adder::io {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::kind_of;
using testing::TemporaryFolder;

TEST(ReadFile, ReadsWithALimit) {
  const TemporaryFolder folder;
  const auto path = folder.file("a", std::string("x\0y", 3));
  EXPECT_EQ(read_file(path, 3), std::string("x\0y", 3));
  EXPECT_EQ(kind_of([&] { read_file(path, 2); }), ErrorKind::kFormat);
  EXPECT_EQ(read_file(folder.file("empty", ""), 0), "");
  EXPECT_EQ(kind_of([&] { read_file(folder.path() / "none", 9); }), ErrorKind::kNotFound);
}

TEST(OpenRegular, RefusesWhatIsNoFile) {
  const TemporaryFolder folder;
  const auto fifo = folder.path() / "fifo";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  const auto loop = folder.path() / "loop";
  fs::create_symlink("loop", loop);
  for (const fs::path& path : {folder.path(), fifo, fs::path("/dev/zero"), loop}) {
    EXPECT_EQ(kind_of([&] { read_file(path, 100); }), ErrorKind::kIo) << path;
    EXPECT_EQ(kind_of([&] { MappedFile file(path); }), ErrorKind::kIo) << path;
  }
}

TEST(MappedFile, MapsMovesAndNoticesShrinking) {
  const TemporaryFolder folder;
  const auto path = folder.file("a", "hello world");
  MappedFile first(path);
  MappedFile file = std::move(first);
  EXPECT_EQ(first.size(), 0);  // NOLINT(bugprone-use-after-move): what a move leaves is promised
  EXPECT_EQ(file.size(), 11);
  EXPECT_EQ(file.bytes()[4], std::byte{'o'});
  std::vector<std::byte> out(5);
  file.read_at(6, out);
  EXPECT_EQ(out[0], std::byte{'w'});
  EXPECT_EQ(kind_of([&] { file.read_at(7, out); }), ErrorKind::kIo);
  file.check_size();
  file.will_need(0, 11);
  ASSERT_EQ(truncate(path.c_str(), 5), 0);
  EXPECT_EQ(kind_of([&] { file.check_size(); }), ErrorKind::kIo);
  EXPECT_EQ(kind_of([&] { file.read_at(6, out); }), ErrorKind::kIo);
  EXPECT_EQ(MappedFile(folder.file("empty", "")).size(), 0);
}

TEST(WriteFileAtomic, ReplacesAndLeavesNothingElse) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "a";
  write_file_atomic(path, "one");
  MappedFile old(path);
  write_file_atomic(path, "three");
  EXPECT_EQ(read_file(path, 10), "three");
  EXPECT_EQ(old.bytes()[0], std::byte{'o'});  // a map of the old file stays whole
  old.check_size();
  EXPECT_EQ(folder.entries(), 1);
}

TEST(AtomicFile, WithoutCommitTheOldFileStays) {
  const TemporaryFolder folder;
  const auto path = folder.file("a", "old");
  {
    AtomicFile file(path);
    file.write(as_bytes("new"));
    EXPECT_EQ(folder.entries(), 2);
  }
  EXPECT_EQ(read_file(path, 10), "old");
  EXPECT_EQ(folder.entries(), 1);
}

TEST(AtomicFile, FailuresAreErrorsWithAReason) {
  const TemporaryFolder folder;
  const auto missing = error_of([&] { write_file_atomic(folder.path() / "no" / "a", "x"); });
  ASSERT_TRUE(missing);
  EXPECT_EQ(missing->kind(), ErrorKind::kNotFound);
  fs::create_directory(folder.path() / "d");
  folder.file("d/x", "");
  EXPECT_EQ(kind_of([&] { write_file_atomic(folder.path() / "d", "x"); }), ErrorKind::kIo);
  EXPECT_EQ(folder.entries(), 1);
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  ASSERT_GE(full, 0);
  const auto no_space = error_of([&] { write_all(full, as_bytes("x"), "disk"); });
  close(full);
  ASSERT_TRUE(no_space);
  EXPECT_EQ(no_space->kind(), ErrorKind::kIo);
  EXPECT_EQ(no_space->text().why, "No space left on device");
}

// The system cuts a write at the limit on the size of files: first a short write, then an error.
TEST(AtomicFile, AShortWriteLeavesTheOldFile) {
  const TemporaryFolder folder;
  const auto path = folder.file("a", "old");
  const pid_t child = fork();
  if (child == 0) {
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    setrlimit(RLIMIT_FSIZE, &limit);
    const auto error = error_of([&] { write_file_atomic(path, std::string(5000, 'x')); });
    _exit(error && error->kind() == ErrorKind::kIo ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(path, 10), "old");
  EXPECT_EQ(folder.entries(), 1);
}

TEST(AtomicDirectory, AppearsWholeOrNotAtAll) {
  const TemporaryFolder folder;
  const auto target = folder.path() / "runs" / "step-1";
  {
    const AtomicDirectory abandoned(target);
    write_file_atomic(abandoned.staging() / "a", "x");
    EXPECT_EQ(abandoned.staging().parent_path(), target.parent_path());
    EXPECT_TRUE(abandoned.staging().filename().string().starts_with(".tmp-step-1-"));
  }
  EXPECT_TRUE(fs::is_empty(folder.path() / "runs"));
  AtomicDirectory kept(target);
  make_directories(kept.staging() / "sub");
  write_file_atomic(kept.staging() / "sub" / "a", "x");
  EXPECT_FALSE(fs::exists(target));
  kept.commit();
  EXPECT_EQ(read_file(target / "sub" / "a", 1), "x");
}

TEST(AtomicDirectory, RefusesAtOnceWhatIsInTheWay) {
  const TemporaryFolder folder;
  const auto there = folder.file("there", "");
  fs::create_symlink("nowhere", folder.path() / "link");
  for (const fs::path& target : {folder.path(), there, folder.path() / "link"}) {
    const auto error = error_of([&] { const AtomicDirectory directory(target); });
    ASSERT_TRUE(error) << target;
    EXPECT_EQ(error->kind(), ErrorKind::kIo);
    EXPECT_EQ(error->text().next, "give another name or remove it");
  }
  EXPECT_EQ(kind_of([] { const AtomicDirectory directory(""); }), ErrorKind::kUsage);
  EXPECT_EQ(folder.entries(), 2);
  AtomicDirectory late(folder.path() / "late");
  folder.file("late", "");
  EXPECT_EQ(kind_of([&] { late.commit(); }), ErrorKind::kIo);
}

TEST(AtomicDirectory, TwoOfOneProcessDoNotMeet) {
  const TemporaryFolder folder;
  const AtomicDirectory one(folder.path() / "a");
  const AtomicDirectory two(folder.path() / "a");
  EXPECT_NE(one.staging(), two.staging());
  EXPECT_TRUE(fs::is_directory(one.staging()));
}

TEST(RemoveOldTemporaries, KeepsTheRecentAndAllElse) {
  using namespace std::chrono_literals;
  const TemporaryFolder folder;
  const auto age = [&](const fs::path& path, std::chrono::hours hours) {
    fs::last_write_time(path, fs::file_time_type::clock::now() - hours);
  };
  for (const char* name : {".tmp-old", ".tmp-in-use", "kept"}) {
    fs::create_directory(folder.path() / name);
    age(folder.file(std::string(name) + "/a", "x"), 30h);
    age(folder.path() / name, 30h);
  }
  age(folder.file(".tmp-file", ""), 30h);
  age(folder.path() / ".tmp-in-use" / "a", 1h);
  remove_old_temporaries(folder.path(), 24h);
  EXPECT_FALSE(fs::exists(folder.path() / ".tmp-old"));
  EXPECT_FALSE(fs::exists(folder.path() / ".tmp-file"));
  EXPECT_TRUE(fs::exists(folder.path() / ".tmp-in-use" / "a"));
  EXPECT_TRUE(fs::exists(folder.path() / "kept" / "a"));
  remove_old_temporaries(folder.path() / "missing", 24h);
}

TEST(MakeDirectories, IsContentWithWhatIsThere) {
  const TemporaryFolder folder;
  make_directories(folder.path() / "a" / "b");
  make_directories(folder.path() / "a" / "b");
  EXPECT_TRUE(fs::is_directory(folder.path() / "a" / "b"));
  folder.file("file", "");
  EXPECT_EQ(kind_of([&] { make_directories(folder.path() / "file"); }), ErrorKind::kIo);
  EXPECT_EQ(kind_of([&] { make_directories(folder.path() / "file" / "x"); }), ErrorKind::kIo);
}

}  // namespace
}  // namespace adder::io
