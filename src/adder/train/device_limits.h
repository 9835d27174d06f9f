// What is not trained on a device yet.
#pragma once

#include "adder/model/config.h"

namespace adder::train {

/// Throws kUnsupported for a mixer that no device trains. `documents`: rows may hold several.
void check_for_device(const model::ModelConfig& config, bool documents);

}  // namespace adder::train
