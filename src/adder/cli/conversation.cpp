#include "adder/cli/conversation.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "adder/base/error.h"
#include "adder/base/printable.h"
#include "adder/cli/interrupt.h"
#include "adder/cli/model_line.h"
#include "adder/cli/output.h"
#include "adder/cli/sampling.h"
#include "adder/cli/text_source.h"
#include "adder/cli/word_stream.h"

namespace adder::cli {
namespace {

/// Thrown to end the reading of a file.
struct Interrupted {};

double rate(int64_t tokens, double seconds) {
  return static_cast<double>(tokens) / std::max(1e-9, seconds);
}

/// A token's bytes on one line.
std::string token_text(const std::string& bytes) {
  constexpr std::size_t kMostBytes = 200;
  std::string out;
  for (const char c : bytes) {
    if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else {
      out += c;
    }
  }
  return printable(out, kMostBytes);
}

}  // namespace

/// Says an answer as it comes. What was begun is ended with a line.
class Conversation::Voice {
 public:
  explicit Voice(Show show)
      : show_(show), words_(show == Show::kTerminal ? terminal_columns(1) : 0) {}
  ~Voice() = default;
  Voice(const Voice&) = delete;
  Voice& operator=(const Voice&) = delete;

  bool operator()(std::optional<int32_t> id, std::string_view piece) {
    if (show_ == Show::kJson) {
      if (id) ids.push_back(*id);
      text += piece;
    } else {
      put(piece);
    }
    return !interrupted();
  }
  void end() {
    if (show_ == Show::kTerminal) print(words_.flush());
    if (show_ != Show::kJson) print("\n");
  }

  std::vector<int32_t> ids;  // both only for JSON
  std::string text;

 private:
  void put(std::string_view piece) {
    if (show_ == Show::kPlain) {
      if (!piece.empty()) print(piece);
      return;
    }
    if (!begun_) {  // a space before the first word looks out of place on a line of its own
      piece.remove_prefix(std::min(piece.find_first_not_of(' '), piece.size()));
      begun_ = !piece.empty();
    }
    if (const std::string words = words_.feed(piece); !words.empty()) print(words);
  }

  Show show_;
  WordStream words_;
  bool begun_ = false;
};

Conversation::Conversation(LoadedModel& loaded, infer::GenerateOptions options, ChatFormat format,
                           Show show)
    : loaded_(loaded),
      tokenizer_(loaded.words("a conversation")),
      format_(std::move(format)),
      ends_(format_.ends(tokenizer_, loaded.directory->special_tokens().eos)),
      session_(loaded.model, tokenizer_, ends_.tokens),
      options_(std::move(options)),
      show_(show) {}

/// Told by the text itself, for turns are taken back and states loaded.
Ended Conversation::ended() const {
  const auto last = session_.last_tokens();
  if (last.empty()) return Ended::kNo;
  if (tokenizer_.eos_id() == last.back() ||
      std::ranges::find(ends_.tokens, last.back()) != ends_.tokens.end()) {
    return Ended::kByToken;
  }
  const std::string text = tokenizer_.decode(last);
  const auto ends_it = [&](const std::string& stop) { return text.ends_with(stop); };
  return std::ranges::any_of(options_.stop, ends_it) ? Ended::kByText : Ended::kNo;
}

void Conversation::answer(const std::string& line) {
  dropped_ = tokenizer_.dropped(line);
  say_dropped(dropped_);
  const auto ids = format_.turn(tokenizer_, line, session_.last_tokens(), ended());
  if (ids.empty()) {
    throw Error(ErrorKind::kUsage, {.what = "nothing of the line is left to read",
                                    .next = "write it in characters that the model knows"});
  }
  speak(infer::source_of(ids), {Turn::kLine, line});
}

void Conversation::more() {
  if (session_.tokens() == 0) {
    throw Error(ErrorKind::kUsage, {.what = "there is no answer to go on with"});
  }
  dropped_.clear();
  speak(infer::source_of({}), {Turn::kMore, {}});
}

void Conversation::again() {
  if (turns_.empty() || turns_.back().kind == Turn::kFile) {
    throw Error(ErrorKind::kUsage, {.what = "there is no answer to give again"});
  }
  const Turn turn = turns_.back();
  session_.undo();
  turns_.pop_back();
  changed_ = true;
  if (options_.sampler.temperature == 0) {
    say("note: at temperature 0 the answer is always the same; /temperature 0.8 draws others");
  }
  turn.kind == Turn::kLine ? answer(turn.line) : more();
}

void Conversation::speak(const infer::TokenSource& added, Turn turn) {
  infer::GenerateOptions options = options_;
  // Each answer draws its own words.
  options.sampler.seed = seed_of(options.sampler.seed, answers_++);
  options.stop.insert(options.stop.end(), ends_.texts.begin(), ends_.texts.end());
  Voice voice(show_);
  try {
    last_ = session_.stream(added, options, std::ref(voice));
  } catch (const Error&) {
    voice.end();
    throw;
  }
  voice.end();
  changed_ = true;
  if (turns_.size() == infer::Session::kUndoDepth) turns_.erase(turns_.begin());
  turns_.push_back(std::move(turn));
  print_answer(last_, voice, options.sampler.seed);
  if (show_ != Show::kTerminal || last_.reason != infer::StopReason::kLength) return;
  if (!std::exchange(told_of_more_, true)) {
    say("[the answer has all its " + std::to_string(options.max_new_tokens) +
        " tokens: /more goes on, /max-new-tokens allows more]");
  }
}

void Conversation::print_answer(const infer::GenerationStats& stats, const Voice& voice,
                                int64_t seed) const {
  if (show_ != Show::kJson) return;
  io::Json line = {{"text", voice.text},
                   {"ids", voice.ids},
                   {"reason", to_string(stats.reason)},
                   {"seed", seed},
                   {"prompt_tokens", stats.prompt_tokens}};
  for (const auto& [character, count] : dropped_) line["dropped"][character] = count;
  print_json(line);
}

void Conversation::undo() {
  if (!session_.undo()) {
    say("there is nothing to take back");
    return;
  }
  turns_.pop_back();
  changed_ = true;
  say("the last turn is taken back");
}

void Conversation::reset() {
  session_.reset();
  turns_.clear();
  changed_ = true;
  say("everything is forgotten");
}

bool Conversation::read_file(const std::string& file) {
  TextSource source(file, tokenizer_, session_.tokens() == 0);
  infer::GenerateOptions none;
  none.max_new_tokens = 0;
  clear_interrupt();
  try {
    Bar bar("reading", source.file_bytes(), "B");
    const auto stats = session_.stream(
        [&] {
          if (interrupted()) throw Interrupted{};
          const auto ids = source.next();
          bar.update(source.file_bytes_read());
          return ids;
        },
        none, {});
    bar.finish();
    changed_ = true;
    turns_.push_back({Turn::kFile, file});
    if (turns_.size() > infer::Session::kUndoDepth) turns_.erase(turns_.begin());
    say(fmt::format("read: {}, {} tokens, {:.0f} tokens/s", file, stats.prompt_tokens,
                    rate(stats.prompt_tokens, stats.prompt_seconds)));
    return true;
  } catch (...) {  // a read that was cut short, too
    if (!interrupted()) throw;
    say("interrupted: nothing of " + file + " is kept");
    return false;
  }
}

void Conversation::save(const std::string& file) const {
  session_.save(file);
  say("saved: " + file);
}

void Conversation::keep(const std::string& file) {
  if (!changed_) return;
  session_.save(file);
  changed_ = false;
}

void Conversation::load(const std::string& file) {
  session_.load(file);
  turns_.clear();
  changed_ = true;
  say(fmt::format("loaded: {} tokens", session_.tokens()));
}

void Conversation::show_tokens(const std::string& text) const {
  say_dropped(tokenizer_.dropped(text));
  const auto ids = tokenizer_.encode(text);
  std::vector<std::string> pieces;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    pieces.push_back(tokenizer_.bytes_after(std::span(ids).first(i), ids[i]));
  }
  if (show_ == Show::kJson) {
    print_json({{"ids", ids}, {"pieces", pieces}});
    return;
  }
  std::string line, numbers;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    line += (i == 0 ? "" : "|") + token_text(pieces[i]);
    numbers += (i == 0 ? "" : " ") + std::to_string(ids[i]);
  }
  print(fmt::format("{}\n{}\n{} tokens\n", line, numbers, ids.size()));
}

void Conversation::show_stats() const {
  const StateSize state = state_size(loaded_.model.config());
  if (show_ == Show::kJson) {
    print_json({{"tokens", session_.tokens()},
                {"state_bytes", session_.state_bytes()},
                {"undo_bytes", session_.undo_bytes()},
                {"bytes_per_token", state.bytes_per_token},
                {"prompt_tokens", last_.prompt_tokens},
                {"new_tokens", last_.new_tokens},
                {"prompt_s", last_.prompt_seconds},
                {"generate_s", last_.generate_seconds}});
    return;
  }
  print(fmt::format("conversation  {} tokens\n", session_.tokens()));
  if (last_.new_tokens > 0) {
    print(fmt::format("last answer   {} tokens, {:.0f} tokens/s, ended by {}\n", last_.new_tokens,
                      rate(last_.new_tokens, last_.generate_seconds), to_string(last_.reason)));
    print(fmt::format("its prompt    {} tokens, {:.0f} tokens/s\n", last_.prompt_tokens,
                      rate(last_.prompt_tokens, last_.prompt_seconds)));
  }
  const auto bytes = short_bytes(static_cast<double>(session_.state_bytes()));
  print(state.bytes_per_token == 0
            ? fmt::format("state         {} however long the text\n", bytes)
            : fmt::format("state         {}, {} more for each token\n", bytes,
                          short_bytes(static_cast<double>(state.bytes_per_token))));
  print(fmt::format("to take back  {} turns, {}\n", turns_.size(),
                    short_bytes(static_cast<double>(session_.undo_bytes()))));
}

}  // namespace adder::cli
