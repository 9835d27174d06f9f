// A state in a file: one safetensors file with every state array ("layers.3.ssm"; of those that
// grow the rows that the spec keeps), what is remembered of the tokens read, the tokens still
// unread, a hash over all of this and over how many were read, and a fingerprint of the model and
// tokenizer that made it. Its size does not depend on the length of the text unless the state's
// does.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "adder/infer/model.h"
#include "adder/infer/token_history.h"

namespace adder::infer {

struct SavedState {
  State state;
  TokenHistory history;         // what the state has read
  std::vector<int32_t> unread;  // tokens of the text that come next
};

/// Atomic.
void save_state(const std::filesystem::path& file, const SavedState& saved, const Model& model,
                const std::string& tokenizer_hash);

/// Whether that is a file with a state in it, of any model and version, as far as its header says.
bool is_state_file(const std::filesystem::path& file);

/// Throws kFormat for a file that is no state or was changed, kShape for one that another model or
/// tokenizer made.
SavedState load_state(const std::filesystem::path& file, const Model& model,
                      const std::string& tokenizer_hash);

/// 32 hex digits over the configuration and, of each tensor, its type, shape and up to 4 KiB at its
/// beginning, middle and end: two models with the same digits are the same in practice, and large
/// ones need not be read whole.
std::string fingerprint(const model::ModelConfig& config, const model::Weights& weights);

}  // namespace adder::infer
