#include "adder/cli/prepare_text.h"

#include <filesystem>

#include "adder/text/tokenizer.h"

namespace adder::cli {

data::ProgressCallback PhaseBars::callback() {
  return [this](std::string_view phase, int64_t done, int64_t total) {
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

data::PreparedData prepare_text(const train::Recipe& recipe) {
  std::shared_ptr<const text::Tokenizer> tokenizer;
  const std::filesystem::path init = recipe.train.init;
  if (!init.empty() && std::filesystem::exists(init / "tokenizer.json")) {
    say("fine-tuning " + init.string() + ": its own model options and tokenizer are used");
    tokenizer = text::load_tokenizer(init);
  }
  PhaseBars bars;
  auto prepared = data::prepare(recipe.data, bars.callback(), std::move(tokenizer));
  bars.finish();
  if (!prepared.note.empty()) say(prepared.note);
  return prepared;
}

}  // namespace adder::cli
