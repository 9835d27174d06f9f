// Mistral's layout of Codestral Mamba (mamba-core 3.4): params.json and consolidated.safetensors,
// whose names begin with "model.". A Mamba-2 stack with the original authors' defaults.
#pragma once

#include <string>

#include "adder/io/json.h"
#include "adder/model/config.h"

namespace adder::model {

/// Is this a params.json? It has dim and n_layers, not Hugging Face's hidden_size.
bool is_mistral(const io::Json& json);

/// Throws kConfig for a missing or wrong value, kUnsupported for a computation that Adder does not
/// have, naming file and field.
ModelConfig config_from_mistral(const io::Json& json, const std::string& file);

}  // namespace adder::model
