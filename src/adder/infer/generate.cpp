#include "adder/infer/generate.h"

#include <algorithm>
#include <chrono>

#include "adder/base/error.h"
#include "adder/infer/stop_filter.h"
#include "adder/text/stream_decoder.h"

namespace adder::infer {
namespace {

class Watch {
 public:
  /// Seconds since the last call.
  double lap() {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double> passed = now - std::exchange(last_, now);
    return passed.count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

[[noreturn]] void nothing_to_read() {
  throw Error(ErrorKind::kUsage, {.what = "there is no text to go on from",
                                  .next = "give at least one character that the model knows"});
}

/// Token bytes to text that may be shown.
class Speaker {
 public:
  Speaker(const text::Tokenizer& tokenizer, const std::vector<std::string>& stops)
      : tokenizer_(tokenizer), filter_(stops) {}

  /// `before`: the tokens that stand before it.
  std::string say(std::span<const int32_t> before, int32_t id) {
    return filter_.feed(decoder_.feed(tokenizer_.bytes_after(before, id)));
  }
  std::string finish() {
    std::string tail = filter_.feed(decoder_.flush());
    return tail + filter_.flush();
  }
  bool stopped() const { return filter_.stopped(); }

 private:
  const text::Tokenizer& tokenizer_;
  text::StreamDecoder decoder_;
  StopFilter filter_;
};

}  // namespace

void GenerateOptions::describe(OptionVisitor& v) {
  v.field("max_new_tokens", max_new_tokens, "tokens to draw at most");
  v.field("stop", stop, "texts that end the generation");
  v.field("ignore_eos", ignore_eos, "go on after the token that ends a document");
  v.group("sampler", sampler);
}

void GenerateOptions::check() const {
  if (max_new_tokens < 0) {
    throw Error(ErrorKind::kConfig,
                {.what = "max_new_tokens = " + std::to_string(max_new_tokens) + " does not fit",
                 .where = "max_new_tokens",
                 .why = "it must be 0 or more"});
  }
  sampler.check();
}

const char* to_string(StopReason reason) {
  switch (reason) {
    case StopReason::kLength:
      return "length";
    case StopReason::kEos:
      return "eos";
    case StopReason::kStopString:
      return "stop";
    case StopReason::kCancelled:
      return "cancelled";
  }
  return "unknown";
}

Generator::Generator(Model& model, const text::Tokenizer& tokenizer, std::vector<int32_t> eos)
    : model_(model), tokenizer_(tokenizer), eos_(std::move(eos)) {
  if (const auto id = tokenizer.eos_id()) eos_.push_back(*id);
}

TokenSource source_of(std::span<const int32_t> ids) {
  return [ids]() mutable { return std::exchange(ids, {}); };
}

Generation Generator::run(std::span<const int32_t> prompt, State& state,
                          const GenerateOptions& options, const OnToken& on_token) {
  Generation result;
  TokenHistory history;
  const auto keep = [&](std::optional<int32_t> id, std::string_view piece) {
    if (id) result.ids.push_back(*id);
    result.text += piece;
    return !on_token || on_token(id, piece);
  };
  static_cast<GenerationStats&>(result) = stream(source_of(prompt), state, history, options, keep);
  return result;
}

GenerationStats Generator::stream(const TokenSource& prompt, State& state, TokenHistory& history,
                                  const GenerateOptions& options, const OnToken& on_token) {
  options.check();
  Sampler sampler(options.sampler, tokenizer_.vocab_size());
  Speaker speaker(tokenizer_, options.stop);
  std::vector<float> logits(static_cast<std::size_t>(model_.vocab_size()));
  State* const states[] = {&state};
  GenerationStats stats;

  Watch watch;
  for (auto part = prompt(); !part.empty(); part = prompt()) {
    model_.prefill(part, state, logits);
    history.add(part);
    stats.prompt_tokens += static_cast<int64_t>(part.size());
  }
  if (stats.prompt_tokens == 0) nothing_to_read();
  stats.prompt_seconds = watch.lap();
  int32_t id = 0;
  const std::span<const int32_t> last(&id, 1);
  while (stats.new_tokens < options.max_new_tokens) {
    if (stats.new_tokens > 0) {
      model_.step(last, states, logits);
      history.add(last);
    }
    id = sampler.sample(logits, history);
    ++stats.new_tokens;
    const bool go_on = on_token(id, speaker.say(history.last(), id));
    if (!options.ignore_eos && std::ranges::find(eos_, id) != eos_.end()) {
      stats.reason = StopReason::kEos;
    }
    if (speaker.stopped()) stats.reason = StopReason::kStopString;
    if (!go_on) stats.reason = StopReason::kCancelled;
    if (stats.reason != StopReason::kLength) break;
  }
  if (const std::string tail = speaker.finish(); !tail.empty()) on_token(std::nullopt, tail);
  stats.generate_seconds = watch.lap();
  return stats;
}

GenerationStats Generator::read(const TokenSource& text, State& state, TokenHistory& history,
                                int32_t& last) {
  std::vector<float> logits(static_cast<std::size_t>(model_.vocab_size()));
  std::vector<int32_t> part;
  GenerationStats stats;
  Watch watch;
  for (auto next = text(); !next.empty(); next = text()) {
    part.clear();
    if (stats.prompt_tokens > 0) part.push_back(last);
    part.insert(part.end(), next.begin(), next.end() - 1);
    last = next.back();
    stats.prompt_tokens += static_cast<int64_t>(next.size());
    if (part.empty()) continue;
    model_.prefill(part, state, logits);
    history.add(part);
  }
  if (stats.prompt_tokens == 0) nothing_to_read();
  stats.prompt_seconds = watch.lap();
  return stats;
}

}  // namespace adder::infer
