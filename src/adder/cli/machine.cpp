#include "adder/cli/machine.h"

#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include "adder/base/thread_pool.h"
#include "adder/kernels/dispatch.h"

namespace adder::cli {
namespace {

/// The rest of the first line of `file` that begins with `key`, after ":" and spaces.
std::string line_of(const char* file, const std::string& key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const auto begin = line.find_first_not_of(": \t", key.size());
    return begin == std::string::npos ? "" : line.substr(begin);
  }
  return {};
}

int64_t kilobytes_of(const std::string& key) {
  const std::string text = line_of("/proc/meminfo", key);
  return text.empty() ? 0 : std::strtoll(text.c_str(), nullptr, 10) * 1024;
}

/// A number alone in a file; -1 when it is not there or says "max".
int64_t number_in(const char* file) {
  std::ifstream in(file);
  int64_t value = -1;
  return in >> value ? value : -1;
}

}  // namespace

Machine look_at_machine() {
  Machine machine;
  machine.processor = line_of("/proc/cpuinfo", "model name");
  machine.isa_best = kernels::to_string(kernels::best_isa());
  machine.isa = kernels::to_string(kernels::active_isa());
  machine.cores = static_cast<int>(std::thread::hardware_concurrency());
  machine.threads = default_threads();
  machine.memory = kilobytes_of("MemTotal");
  machine.memory_available = kilobytes_of("MemAvailable");
  if (const int64_t limit = number_in("/sys/fs/cgroup/memory.max"); limit > 0) {
    const int64_t used = std::max<int64_t>(0, number_in("/sys/fs/cgroup/memory.current"));
    machine.memory = std::min(machine.memory, limit);
    machine.memory_available =
        std::min(machine.memory_available, std::max<int64_t>(0, limit - used));
  }
  std::error_code failed;
  const auto space = std::filesystem::space(".", failed);
  machine.disk_available = failed ? 0 : static_cast<int64_t>(space.available);
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    machine.open_files =
        files.rlim_cur == RLIM_INFINITY ? -1 : static_cast<int64_t>(files.rlim_cur);
  }
  return machine;
}

}  // namespace adder::cli
