#include "adder/infer/session.h"

#include "adder/base/error.h"
#include "adder/infer/state_file.h"

namespace adder::infer {

Session::Session(Model& model, const text::Tokenizer& tokenizer, std::vector<int32_t> eos)
    : model_(model), tokenizer_(tokenizer), eos_(std::move(eos)), state_(model.new_state()) {}

Generation Session::turn(std::string_view text, const GenerateOptions& options,
                         const OnToken& on_token) {
  const std::vector<int32_t> added =
      ids_.empty() ? text::encode_beginning(tokenizer_, text) : tokenizer_.encode(text);
  return turn(std::span(added), options, on_token);
}

Generation Session::turn(std::span<const int32_t> added, const GenerateOptions& options,
                         const OnToken& on_token) {
  options.check();
  Snapshot snapshot{state_.mark(), ids_.size()};
  ids_.insert(ids_.end(), added.begin(), added.end());
  const std::span<const int32_t> all(ids_);
  const auto read =
      static_cast<std::size_t>(state_.tokens);  // the last token drawn is still unread
  if (read == ids_.size()) {
    throw Error(ErrorKind::kUsage, {.what = "there is no text to go on from"});
  }
  Generation answer;
  try {
    answer = Generator(model_, tokenizer_, eos_)
                 .run(all.subspan(read), state_, options, on_token, all.first(read));
  } catch (...) {
    state_.restore(snapshot.state);
    ids_.resize(snapshot.ids);
    throw;
  }
  ids_.insert(ids_.end(), answer.ids.begin(), answer.ids.end());
  if (past_.size() == kUndoDepth) past_.erase(past_.begin());
  past_.push_back(std::move(snapshot));
  return answer;
}

bool Session::undo() {
  if (past_.empty()) return false;
  state_.restore(past_.back().state);
  ids_.resize(past_.back().ids);
  past_.pop_back();
  return true;
}

void Session::reset() {
  state_ = model_.new_state();
  ids_.clear();
  past_.clear();
}

void Session::save(const std::filesystem::path& file) const {
  save_state(file, state_, ids_, model_, tokenizer_.hash());
}

void Session::load(const std::filesystem::path& file) {
  SavedState saved = load_state(file, model_, tokenizer_.hash());
  state_ = std::move(saved.state);
  ids_ = std::move(saved.ids);
  past_.clear();
}

}  // namespace adder::infer
