// A run's folder: one trainer at a time, run.json at its head.
#pragma once

#include <filesystem>

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

}  // namespace adder::train
