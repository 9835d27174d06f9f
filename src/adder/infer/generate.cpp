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

/// Token bytes to text that may be shown.
class Speaker {
 public:
  Speaker(const text::Tokenizer& tokenizer, const std::vector<std::string>& stops)
      : tokenizer_(tokenizer), filter_(stops) {}

  std::string say(int32_t id) { return filter_.feed(decoder_.feed(tokenizer_.token_bytes(id))); }
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

Generation Generator::run(std::span<const int32_t> prompt, State& state,
                          const GenerateOptions& options, const OnToken& on_token,
                          std::span<const int32_t> before) {
  options.check();
  Sampler sampler(options.sampler, tokenizer_.vocab_size());
  Speaker speaker(tokenizer_, options.stop);
  std::vector<int32_t> history(before.begin(), before.end());
  history.insert(history.end(), prompt.begin(), prompt.end());
  std::vector<float> logits(static_cast<std::size_t>(model_.vocab_size()));
  State* const states[] = {&state};
  Generation result;
  const auto report = [&](std::optional<int32_t> id, const std::string& piece) {
    result.text += piece;
    return !on_token || on_token(id, piece);
  };

  Watch watch;
  model_.prefill(prompt, state, logits);
  result.prompt_tokens = static_cast<int64_t>(prompt.size());
  result.prompt_seconds = watch.lap();
  while (static_cast<int64_t>(result.ids.size()) < options.max_new_tokens) {
    if (!result.ids.empty()) model_.step(std::span(result.ids).last(1), states, logits);
    const int32_t id = sampler.sample(logits, history);
    result.ids.push_back(id);
    history.push_back(id);
    const bool go_on = report(id, speaker.say(id));
    if (!options.ignore_eos && std::ranges::find(eos_, id) != eos_.end()) {
      result.reason = StopReason::kEos;
    }
    if (speaker.stopped()) result.reason = StopReason::kStopString;
    if (!go_on) result.reason = StopReason::kCancelled;
    if (result.reason != StopReason::kLength) break;
  }
  if (const std::string tail = speaker.finish(); !tail.empty()) report(std::nullopt, tail);
  result.generate_seconds = watch.lap();
  return result;
}

}  // namespace adder::infer
