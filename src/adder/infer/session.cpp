#include "adder/infer/session.h"

#include "adder/base/error.h"

namespace adder::infer {

Session::Session(Model& model, const text::Tokenizer& tokenizer, std::vector<int32_t> eos)
    : model_(model),
      tokenizer_(tokenizer),
      eos_(std::move(eos)),
      now_{model.new_state(), TokenHistory(), {}} {}

Generation Session::turn(std::string_view text, const GenerateOptions& options,
                         const OnToken& on_token) {
  const std::vector<int32_t> added =
      tokens() == 0 ? text::encode_beginning(tokenizer_, text) : tokenizer_.encode(text);
  return turn(std::span(added), options, on_token);
}

Generation Session::turn(std::span<const int32_t> added, const GenerateOptions& options,
                         const OnToken& on_token) {
  Generation answer;
  const auto keep = [&](std::optional<int32_t> id, std::string_view piece) {
    if (id) answer.ids.push_back(*id);
    answer.text += piece;
    return !on_token || on_token(id, piece);
  };
  static_cast<GenerationStats&>(answer) = stream(source_of(added), options, keep);
  return answer;
}

GenerationStats Session::stream(const TokenSource& added, const GenerateOptions& options,
                                const OnToken& on_token) {
  Snapshot before = snapshot();
  std::vector<int32_t> first;
  const TokenSource prompt = [&] {
    std::span<const int32_t> part = added();
    if (now_.unread.empty()) return part;
    first = std::exchange(now_.unread, {});
    first.insert(first.end(), part.begin(), part.end());
    return std::span<const int32_t>(first);
  };
  const OnToken note = [&](std::optional<int32_t> id, std::string_view piece) {
    if (id) now_.unread = {*id};
    return !on_token || on_token(id, piece);
  };
  GenerationStats stats;
  try {
    Generator generator(model_, tokenizer_, eos_);
    if (options.max_new_tokens == 0) {  // what comes next begins with the last token
      int32_t last = 0;
      stats = generator.read(prompt, now_.state, now_.history, last);
      now_.unread = {last};
    } else {
      stats = generator.stream(prompt, now_.state, now_.history, options, note);
    }
  } catch (...) {
    restore(std::move(before));
    throw;
  }
  if (past_.size() == kUndoDepth) past_.erase(past_.begin());
  past_.push_back(std::move(before));
  return stats;
}

bool Session::undo() {
  if (past_.empty()) return false;
  restore(std::move(past_.back()));
  past_.pop_back();
  return true;
}

void Session::restore(Snapshot snapshot) {
  now_.state.restore(snapshot.state);
  now_.history = std::move(snapshot.history);
  now_.unread = std::move(snapshot.unread);
}

void Session::reset() {
  now_ = {model_.new_state(), TokenHistory(), {}};
  past_.clear();
}

std::vector<int32_t> Session::last_tokens() const {
  std::vector<int32_t> last = now_.history.last();
  last.insert(last.end(), now_.unread.begin(), now_.unread.end());
  return last;
}

std::size_t Session::undo_bytes() const {
  std::size_t bytes = 0;
  for (const Snapshot& turn : past_) {
    const std::size_t ids = turn.history.last().size() + turn.unread.size();
    bytes += turn.state.bytes() + turn.history.occurred_bits().size() + ids * sizeof(int32_t);
  }
  return bytes;
}

void Session::save(const std::filesystem::path& file) const {
  std::error_code unknown;
  if (std::filesystem::exists(file, unknown) && !is_state_file(file)) {
    throw Error(ErrorKind::kUsage,
                {.what = "this file is not a saved state and is not written over",
                 .where = file.string(),
                 .next = "give another name, or remove the file first"});
  }
  save_state(file, now_, model_, tokenizer_.hash());
}

void Session::load(const std::filesystem::path& file) {
  now_ = load_state(file, model_, tokenizer_.hash());
  past_.clear();
}

}  // namespace adder::infer
