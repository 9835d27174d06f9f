// Hugging Face transformers' config.json for model_type "mamba2" (Mamba2Config of
// transformers 4.57; mamba-core 3.3) against ModelConfig.
#pragma once

#include <optional>
#include <string>

#include "adder/io/json.h"
#include "adder/model/config.h"

namespace adder::model {

/// Missing fields take Mamba2Config's defaults, except the sizes, which must be there. Fields that
/// do not change the computation are ignored. Throws kConfig for a wrong value, kUnsupported for a
/// computation that Adder does not have, naming file and field.
///
/// With n_groups > 1 transformers has two computations of the gated norm (its fused path per group,
/// its plain path over all channels) and no field that says which; this reads `group` unless an
/// extra field "norm_group" says "full". config_to_hf writes that field when n_groups > 1.
/// norm_before_gate, which some published configs hold, is ignored as transformers' Mamba2 ignores
/// it: the gate always comes first.
ModelConfig config_from_hf(const io::Json& json, const std::string& file);

/// An option that the layout has no field for, and its value.
struct HfMisfit {
  std::string option;  // "mamba2.D_has_head_dim"
  std::string value;   // "true"
};
std::optional<HfMisfit> hf_misfit(const ModelConfig& config);

/// Throws kUnsupported naming the option that the layout has no field for. Options that only matter
/// before the first training step (A_min, A_max, conv_init) have no field and are left out.
io::Json config_to_hf(const ModelConfig& config);

}  // namespace adder::model
