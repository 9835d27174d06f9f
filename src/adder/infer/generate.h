// Text out of a model: a prompt in, tokens and text out, one at a time.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "adder/infer/model.h"
#include "adder/infer/sampler.h"
#include "adder/infer/token_history.h"
#include "adder/text/tokenizer.h"

namespace adder::infer {

struct GenerateOptions {
  int64_t max_new_tokens = 128;
  std::vector<std::string> stop;  // text that ends the generation; not part of it
  bool ignore_eos = false;        // go on after the token that ends a document
  SamplerOptions sampler;

  void describe(OptionVisitor& v);
  /// Throws kConfig.
  void check() const;
};

enum class StopReason { kLength, kEos, kStopString, kCancelled };
/// "length", "eos", "stop", "cancelled".
const char* to_string(StopReason reason);

struct GenerationStats {
  StopReason reason = StopReason::kLength;
  int64_t prompt_tokens = 0;
  int64_t new_tokens = 0;
  double prompt_seconds = 0;    // until the logits after the prompt
  double generate_seconds = 0;  // from there to the end
};

struct Generation : GenerationStats {
  std::vector<int32_t> ids;  // every token drawn, eos and those of a stop string included
  std::string text;          // valid UTF-8, without the stop string
};

/// Gets each token and the text that became certain with it (often "": a character or a stop string
/// may be unfinished; the last piece may come with no token). Returns false to end the generation.
using OnToken = std::function<bool(std::optional<int32_t> id, std::string_view piece)>;

/// Gives the tokens of a text part by part, so that the whole is never in memory; after the last
/// one empty parts, however often it is asked. Each stands until the next call.
using TokenSource = std::function<std::span<const int32_t>()>;
/// All at once. `ids` must outlive it.
TokenSource source_of(std::span<const int32_t> ids);

class Generator {
 public:
  /// Both must outlive this. Ids that the tokenizer does not have are never drawn. Its eos ends a
  /// text, as each of `eos` does (those that the model's directory names).
  Generator(Model& model, const text::Tokenizer& tokenizer, std::vector<int32_t> eos = {});

  /// Reads `prompt` (at least one token, else kUsage) into `state` and goes on from there. At the
  /// end the state has read all tokens but the last one drawn.
  Generation run(std::span<const int32_t> prompt, State& state, const GenerateOptions& options,
                 const OnToken& on_token = {});

  /// The same, keeping nothing of the text: memory does not grow with it, but for a state that
  /// does. `history`: what `state` has read, for the repetition penalty; it goes on with the state.
  GenerationStats stream(const TokenSource& prompt, State& state, TokenHistory& history,
                         const GenerateOptions& options, const OnToken& on_token);

  /// Reads `text` (at least one token, else kUsage) but for its last token, which goes to `last`:
  /// a prompt of that one token goes on from there, as often as is wanted. It counts as read.
  GenerationStats read(const TokenSource& text, State& state, TokenHistory& history, int32_t& last);

 private:
  Model& model_;
  const text::Tokenizer& tokenizer_;
  std::vector<int32_t> eos_;
};

}  // namespace adder::infer
