// A recipe's text as token shards, with bars while they are made.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "adder/cli/output.h"
#include "adder/cli/recipe.h"
#include "adder/data/prepare.h"

namespace adder::cli {

/// A bar for each phase of the work on text.
class PhaseBars {
 public:
  /// `meanwhile`: called along with it; what it throws ends the work.
  explicit PhaseBars(std::function<void()> meanwhile = {}) : meanwhile_(std::move(meanwhile)) {}
  data::ProgressCallback callback();
  void finish();

 private:
  std::function<void()> meanwhile_;
  std::string phase_;
  std::unique_ptr<Bar> bar_;
};

/// What `adder train` trains on. Fine-tuning takes the model's tokenizer (starting_tokenizer()).
/// `meanwhile`: see PhaseBars.
data::PreparedData prepare_text(LoadedRecipe& loaded, bool resumed = false,
                                std::function<void()> meanwhile = {});

/// The share of what is learnt of conversations that lies more than `length` tokens from where its
/// conversation begins, so that it is read without that beginning; 0 for plain texts.
double cut_off_share(const data::ShardSet& shards, int64_t length);

}  // namespace adder::cli
