// What fine-tuning keeps of the model that it starts from, beside its weights.
#pragma once

#include <map>
#include <string>

#include "adder/model/directory.h"

namespace adder::train {

struct StartingModel {
  std::string folder;  // as the user named it; empty: training starts from nothing
  std::string hash;    // of the weights: 32 hex digits
  model::SpecialTokens special_tokens;
  /// Files beside the weights that go along as they are, by name: how texts and conversations
  /// become tokens.
  std::map<std::string, std::string> companions;

  bool given() const { return !folder.empty(); }
};

/// Of an open directory.
StartingModel read_starting_model(const model::ModelDirectory& directory);

}  // namespace adder::train
