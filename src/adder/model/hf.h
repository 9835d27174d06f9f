// The config.json of Hugging Face transformers (4.57; mamba-core 3.3) against ModelConfig: one
// HfLayout for each model_type.
#pragma once

#include <string>
#include <string_view>

#include "adder/io/json.h"
#include "adder/model/config.h"
#include "adder/model/misfit.h"
#include "adder/model/special_tokens.h"

namespace adder::model {

struct HfLayout {
  std::string_view model_type;   // "mamba2"
  const char* architecture;      // "Mamba2ForCausalLM"
  SpecialTokens special_tokens;  // the class's defaults, for a config.json that does not say
  ModelConfig (*read)(const io::JsonView& root);
  /// Of a config whose layers are all of this layout's mixer.
  std::optional<Misfit> (*misfit)(const ModelConfig& config);
  void (*write)(const ModelConfig& config, io::Json& json);
};

HfLayout hf_mamba();
HfLayout hf_falcon_mamba();
HfLayout hf_mamba2();

/// Null for a model_type that is not in the table.
const HfLayout* find_hf_layout(std::string_view model_type);

/// Missing fields take the class's defaults, except the sizes, which must be there. Fields that do
/// not change the computation are ignored. Throws kConfig for a wrong value, kUnsupported for a
/// computation or a model_type that Adder does not have, naming file and field.
ModelConfig config_from_hf(const io::Json& json, const std::string& file);

std::optional<Misfit> hf_misfit(const ModelConfig& config);

/// Throws kUnsupported naming the option that the layout has no field for. Options that only matter
/// before the first training step (A_min, A_max, conv_init) have no field and are left out.
io::Json config_to_hf(const ModelConfig& config);

/// Runs `read` on a foreign config; a value of a wrong type or that does not fit is kConfig, with
/// `file` in its place.
ModelConfig read_foreign(const io::Json& json, const std::string& file,
                         ModelConfig (*read)(const io::JsonView& root));

}  // namespace adder::model
