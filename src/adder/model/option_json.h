// Options as nested JSON: {"d_model": 64, "mamba2": {"d_state": 128}}. The layout of Adder's own
// config.json.
#pragma once

#include <string>
#include <vector>

#include "adder/base/options.h"
#include "adder/io/json.h"

namespace adder::model {

io::Json options_to_json(const std::vector<OptionEntry>& entries);

/// Sets every entry that `json` (an object) has a value for. Throws kConfig, naming file and key,
/// for a key that is not an option (with the nearest one that is), and for a value of the wrong
/// type.
void options_from_json(const io::Json& json, const std::vector<OptionEntry>& entries,
                       const std::string& file);

}  // namespace adder::model
