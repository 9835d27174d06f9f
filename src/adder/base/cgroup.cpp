#include "adder/base/cgroup.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>

namespace adder {
namespace {

namespace fs = std::filesystem;

// The group of this process below the mount: the line "0::/a/b" of /proc/self/cgroup.
fs::path own_group(const fs::path& root) {
  std::ifstream file(root / "proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("0::/")) return line.substr(4);
  }
  return {};
}

// cpu.max holds "QUOTA PERIOD" in microseconds, or "max PERIOD".
double quota_of(const fs::path& group) {
  std::ifstream file(group / "cpu.max");
  double quota = 0;
  double period = 0;
  return file >> quota >> period && quota > 0 && period > 0 ? quota / period : INFINITY;
}

}  // namespace

int cgroup_processors(const fs::path& root) {
  const fs::path mount = root / "sys/fs/cgroup";
  // Seen from inside a container the process's own group may be the mount itself.
  double least = quota_of(mount);
  fs::path group = mount;
  for (const fs::path& part : own_group(root)) {
    group /= part;
    least = std::min(least, quota_of(group));
  }
  return least < 1 << 20 ? std::max(1, static_cast<int>(std::ceil(least))) : 0;
}

}  // namespace adder
