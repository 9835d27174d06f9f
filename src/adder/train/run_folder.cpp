#include "adder/train/run_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <ctime>
#include <thread>

#include "adder/base/error.h"
#include "adder/base/version.h"
#include "adder/io/file.h"

namespace adder::train {

RunLock::RunLock(const std::filesystem::path& run_folder) {
  io::make_directories(run_folder);
  const std::filesystem::path file = run_folder / ".lock";
  descriptor_ = ::open(file.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
  if (descriptor_ < 0) {
    throw Error(ErrorKind::kIo, {.what = "cannot lock the run's folder",
                                 .where = file.string(),
                                 .why = std::strerror(errno)});
  }
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
    ::close(descriptor_);
    throw Error(ErrorKind::kUsage, {.what = "another process is training in this folder",
                                    .where = run_folder.string(),
                                    .next = "wait for it, or choose another folder with --run"});
  }
}

RunLock::~RunLock() {
  ::close(descriptor_);
}

void write_run_json(const std::filesystem::path& run_folder, const io::Json& description) {
  utsname system{};
  ::uname(&system);
  char started[32];
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", &utc);
  io::Json json = {{"adder", kVersion},
                   {"host",
                    {{"name", system.nodename},
                     {"system", system.sysname},
                     {"machine", system.machine},
                     {"cores", std::thread::hardware_concurrency()}}},
                   {"started", started}};
  json.update(description);
  io::write_json_file(run_folder / "run.json", json);
}

}  // namespace adder::train
