// What the config.json files of Hugging Face's Mamba models have in common.
#pragma once

#include "adder/model/config.h"
#include "adder/model/config_fields.h"

namespace adder::model {

/// `tied`: the class's default of tie_word_embeddings.
void hf_stack_fields(ConfigFields& fields, ModelConfig& config, bool tied);

/// Refuses fields that ask for another computation than these classes have.
void refuse_other_stacks(const io::JsonView& root);

}  // namespace adder::model
