// The config.json of the Mamba authors' own package (mamba_ssm 2.3, MambaConfig; mamba-core 2.5 and
// 3.2) against ModelConfig: mamba, mamba2 and hybrids with attention (mamba2attn). Its weights are
// a pytorch_model.bin.
#pragma once

#include <string>

#include "adder/io/json.h"
#include "adder/model/config.h"
#include "adder/model/misfit.h"

namespace adder::model {

/// Is this a MambaConfig? It has d_model and no model_type.
bool is_original(const io::Json& json);

/// Missing fields take the package's defaults, except d_model and n_layer, which must be there; the
/// vocabulary is padded to pad_vocab_size_multiple. Throws kConfig for a wrong value and for an
/// unknown field (the package refuses them too), kUnsupported for a computation that Adder does not
/// have, naming file and field.
ModelConfig config_from_original(const io::Json& json, const std::string& file);

std::optional<Misfit> original_misfit(const ModelConfig& config);

/// Throws kUnsupported naming the option that the layout has no field for.
io::Json config_to_original(const ModelConfig& config);

/// The rows of an embedding: `vocab_size` rounded up to `multiple`.
int64_t padded_vocab(int64_t vocab_size, int64_t multiple);

}  // namespace adder::model
