// How likely a model finds a continuation of a text: what multiple-choice and cloze tasks are made
// of. Cut into tokens as the common harness does (lm-evaluation-harness 0.4.13, `loglikelihood` of
// its HFLM with add_bos_token unset): a text begins with bos where the tokenizer's file asks for
// it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "adder/infer/model.h"
#include "adder/text/tokenizer.h"

namespace adder::eval {

struct Likelihood {
  double log_probability = 0;  // nats, summed over the continuation's tokens
  int64_t tokens = 0;
  bool greedy = true;  // each of its tokens was the most likely one
};

/// A context and its continuations in tokens.
struct TokenPairs {
  std::vector<int32_t> context;                     // at least one
  std::vector<std::vector<int32_t>> continuations;  // at least one token each
};

/// White space at the end of `context` is put before each continuation; the continuation's tokens
/// are those of encode(context + continuation) after the first encode(context).size(). Both begin
/// with the tokenizer's bos where it has one, once: a context that begins with its text is read
/// with control tokens. An empty context without bos becomes `start`. Throws kUsage when there is
/// none, or when a continuation has no token of its own.
TokenPairs encode_pairs(const text::Tokenizer& tokenizer, std::string_view context,
                        std::span<const std::string> continuations, std::optional<int32_t> start);

/// Reads the context once; each continuation goes on from a copy of the state. Throws kNumeric for
/// a log-probability that is not finite.
std::vector<Likelihood> likelihoods(infer::Model& model, const TokenPairs& pairs);

}  // namespace adder::eval
