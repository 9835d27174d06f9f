// A state in a file: one safetensors file with every state array ("layers.3.ssm"; of those that
// grow the rows that the spec keeps), the token ids, a hash over all of this and over how many
// tokens were read, and a fingerprint of the model and tokenizer that made it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "adder/infer/model.h"

namespace adder::infer {

/// `ids`: the whole text; the state has read the first state.tokens of them. Atomic.
void save_state(const std::filesystem::path& file, const State& state,
                const std::vector<int32_t>& ids, const Model& model,
                const std::string& tokenizer_hash);

struct SavedState {
  State state;
  std::vector<int32_t> ids;
};

/// Throws kFormat for a file that is no state or was changed, kShape for one that another model or
/// tokenizer made.
SavedState load_state(const std::filesystem::path& file, const Model& model,
                      const std::string& tokenizer_hash);

/// 32 hex digits over the configuration and, of each tensor, its type, shape and up to 4 KiB at its
/// beginning, middle and end: two models with the same digits are the same in practice, and large
/// ones need not be read whole.
std::string fingerprint(const model::ModelConfig& config, const model::Weights& weights);

}  // namespace adder::infer
