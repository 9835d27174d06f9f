// A recipe's text as token shards, with bars while they are made.
#pragma once

#include <memory>
#include <string>

#include "adder/cli/output.h"
#include "adder/data/prepare.h"
#include "adder/train/options.h"

namespace adder::cli {

/// A bar for each phase of the work on text.
class PhaseBars {
 public:
  data::ProgressCallback callback();
  void finish();

 private:
  std::string phase_;
  std::unique_ptr<Bar> bar_;
};

/// What `adder train` trains on. Fine-tuning takes the model's tokenizer.
data::PreparedData prepare_text(const train::Recipe& recipe);

}  // namespace adder::cli
