// What the control group of this process (a container's limits, as a rule) grants it.
#pragma once

#include <filesystem>

namespace adder {

/// Processors that the quota of the process's control group and those above it allow, rounded up;
/// 0 when there is no quota or none can be read. Control groups of version 2; `root` is where
/// /proc and /sys are looked for, for tests.
int cgroup_processors(const std::filesystem::path& root = "/");

}  // namespace adder
