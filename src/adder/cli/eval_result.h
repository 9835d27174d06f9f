// What every result of `adder eval --json` says beside its figures.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "adder/cli/loaded_model.h"
#include "adder/io/json.h"

namespace adder::cli {

/// Adds "model" (its folder), "adder" (this version), "tokenizer" (its hash, or null), "files" and
/// "seconds" since `start`.
void describe_run(io::Json& result, const LoadedModel& loaded,
                  const std::vector<std::string>& files,
                  std::chrono::steady_clock::time_point start);

}  // namespace adder::cli
