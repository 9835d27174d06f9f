// What a model is, in a line for people.
#pragma once

#include <cstdint>
#include <string>

#include "adder/cli/loaded_model.h"

namespace adder::cli {

/// What the state of one sequence takes.
struct StateSize {
  int64_t bytes = 0;            // however long the text, windows full
  int64_t bytes_per_token = 0;  // that it grows by; 0: it is constant
};
StateSize state_size(const model::ModelConfig& config);

/// "4 x mamba2, 1.2 M parameters, 2.05 k tokens (bpe), constant state of 295 kB"
std::string describe_model(const LoadedModel& loaded);

}  // namespace adder::cli
