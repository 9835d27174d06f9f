// What fine-tuning keeps of the model that it starts from, beside its weights.
#pragma once

#include <map>
#include <string>

#include "adder/model/directory.h"
#include "adder/text/tokenizer.h"

namespace adder::train {

struct StartingModel {
  std::string folder;  // as the user named it; empty: training starts from nothing
  std::string hash;    // of the weights: 32 hex digits; empty where nobody asks
  model::SpecialTokens special_tokens;
  /// Files beside the weights that go along as they are, by name: how texts and conversations
  /// become tokens.
  std::map<std::string, std::string> companions;

  bool given() const { return !folder.empty(); }
};

/// What training takes from `directory` when its text is made of the tokens of `tokenizer`: control
/// tokens and companions only where that is the directory's own, or an extension of it. `hashed`:
/// with the hash.
StartingModel read_starting_model(const model::ModelDirectory& directory,
                                  const text::Tokenizer& tokenizer, bool hashed);

/// The content of a tokenizer_config.json without the chat template that it may hold.
std::string without_chat_template(const std::string& tokenizer_config, const std::string& name);

}  // namespace adder::train
