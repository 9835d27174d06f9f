// A run's folder: one trainer at a time, run.json at its head.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "adder/io/json.h"

namespace adder::train {

/// Holds the folder's lock file for as long as it lives.
class RunLock {
 public:
  /// Makes the folder. Throws kUsage when another process trains in it.
  explicit RunLock(const std::filesystem::path& run_folder);
  ~RunLock();
  RunLock(const RunLock&) = delete;
  RunLock& operator=(const RunLock&) = delete;

 private:
  int descriptor_ = -1;
};

/// {"adder": version, "host": ..., "started": ..., then `description`}
void write_run_json(const std::filesystem::path& run_folder, const io::Json& description);

/// Appends {"step", "adder", "started", "changed": {key: value now}} to "resumed" of run.json,
/// where "changed" are the settings of description's "config" that differ from those of the run so
/// far (what Task::identity() speaks for is left out). Gives a line for each change: "train.lr was
/// 0.001, is 0.002 from step 30 on". Nothing without a run.json that can be read.
std::vector<std::string> record_resume(const std::filesystem::path& run_folder, int64_t step,
                                       const io::Json& description);

}  // namespace adder::train
