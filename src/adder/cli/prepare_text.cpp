#include "adder/cli/prepare_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/cli/fine_tuning.h"

namespace adder::cli {

data::ProgressCallback PhaseBars::callback() {
  return [this](std::string_view phase, int64_t done, int64_t total) {
    if (meanwhile_) meanwhile_();
    if (!bar_ || phase_ != phase) {
      finish();
      phase_ = phase;
      bar_ = std::make_unique<Bar>(phase_, total, phase == "learning tokens" ? "token" : "B");
    }
    bar_->update(done);
  };
}

void PhaseBars::finish() {
  if (bar_) bar_->finish();
  bar_.reset();
}

double cut_off_share(const data::ShardSet& shards, int64_t length) {
  if (!shards.has_answers()) return 0;
  int64_t learnt = 0, cut_off = 0;
  for (int64_t i = 0; i < shards.document_count(); ++i) {
    const data::TokenRange document = shards.document(i);
    const auto answer = std::make_unique<bool[]>(static_cast<size_t>(document.size()));
    const std::span<bool> all(answer.get(), static_cast<size_t>(document.size()));
    shards.copy_answers(document.begin, all);
    learnt += std::ranges::count(all, true);
    if (document.size() <= length) continue;
    cut_off += std::ranges::count(all.subspan(static_cast<size_t>(length)), true);
  }
  return learnt == 0 ? 0 : static_cast<double>(cut_off) / static_cast<double>(learnt);
}

data::PreparedData prepare_text(LoadedRecipe& loaded, bool resumed,
                                std::function<void()> meanwhile) {
  const train::Recipe& recipe = loaded.recipe;
  PhaseBars bars(std::move(meanwhile));
  auto tokenizer = starting_tokenizer(loaded, resumed, bars.callback());
  bars.finish();
  if (tokenizer && !resumed) {
    say("fine-tuning " + recipe.train.init + ": its own model options and tokenizer are used");
  }
  if (tokenizer && recipe.train.extend_vocab) {
    const int64_t known = text::load_tokenizer(recipe.train.init)->vocab_size();
    say(fmt::format("{} tokens, of which {} are new", tokenizer->vocab_size(),
                    tokenizer->vocab_size() - known));
  }
  auto prepared = data::prepare(recipe.data, bars.callback(), std::move(tokenizer));
  bars.finish();
  if (!prepared.note.empty()) say(prepared.note);
  if (const double share = cut_off_share(*prepared.shards, recipe.train.length); share > 0) {
    say(
        fmt::format("note: {:.1f} % of what is learnt of the answers lies further than train.length"
                    " = {} from the beginning of its conversation, and is learnt without it",
                    100 * share, recipe.train.length));
  }
  return prepared;
}

}  // namespace adder::cli
