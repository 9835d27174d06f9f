#include "adder/eval/likelihood.h"

#include <algorithm>
#include <cmath>

#include "adder/base/error.h"
#include "adder/eval/characters.h"
#include "adder/infer/score.h"

namespace adder::eval {
namespace {

/// Adds the token `id` that `logits` were to foretell.
void add(Likelihood& sum, std::span<const float> logits, int32_t id) {
  const double nats = infer::nats(logits, id);
  if (!std::isfinite(nats)) {
    throw Error(ErrorKind::kNumeric,
                {.what = "a log-probability is not finite",
                 .where = "token " + std::to_string(sum.tokens) + " of a continuation, from 0",
                 .why = std::isnan(nats) ? "its logits are not numbers"
                                         : "the model gives that token no chance at all",
                 .next = "the model's weights are damaged: use an earlier checkpoint, or the "
                         "original file"});
  }
  sum.log_probability -= nats;
  ++sum.tokens;
  // The first of equals, as argmax has it.
  sum.greedy &= std::max_element(logits.begin(), logits.end()) - logits.begin() == id;
}

/// From the beginning of a text: bos first, unless it is written there.
std::vector<int32_t> encode_text(const text::Tokenizer& tokenizer, std::string_view text) {
  if (const auto bos = tokenizer.bos_id()) {
    auto parsed = tokenizer.encode(text, {.specials = text::Specials::kParsed});
    if (!parsed.empty() && parsed[0] == *bos) return parsed;
  }
  return text::encode_beginning(tokenizer, text);
}

Likelihood go_on(infer::Model& model, infer::State state, std::span<const float> after_context,
                 std::span<const int32_t> ids) {
  Likelihood sum;
  add(sum, after_context, ids[0]);
  if (ids.size() == 1) return sum;
  const auto vocab = static_cast<std::size_t>(model.vocab_size());
  model.prefill_each(ids.first(ids.size() - 1), state,
                     [&](int64_t first, std::span<const float> tile) {
                       auto next = static_cast<std::size_t>(first) + 1;
                       for (std::size_t at = 0; at < tile.size(); at += vocab) {
                         add(sum, tile.subspan(at, vocab), ids[next++]);
                       }
                     });
  return sum;
}

}  // namespace

TokenPairs encode_pairs(const text::Tokenizer& tokenizer, std::string_view context,
                        std::span<const std::string> continuations, std::optional<int32_t> start) {
  const std::string_view kept = without_trailing_space(context);
  TokenPairs pairs;
  pairs.context = encode_text(tokenizer, kept);
  const std::size_t cut = pairs.context.size();
  for (const std::string& continuation : continuations) {
    const auto whole = encode_text(tokenizer, std::string(context) + continuation);
    if (whole.size() <= cut) {
      throw Error(
          ErrorKind::kUsage,
          {.what = "a continuation has no token of its own",
           .where = "\"" + continuation + "\"",
           .why = "together with the context it has no more tokens than the context alone"});
    }
    pairs.continuations.emplace_back(whole.begin() + static_cast<std::ptrdiff_t>(cut), whole.end());
  }
  if (!pairs.context.empty()) return pairs;
  if (!start) {
    throw Error(ErrorKind::kUsage,
                {.what = "an empty context needs a token to begin with",
                 .why = "the model's directory names neither bos_token_id nor eos_token_id",
                 .next = "give every item a context"});
  }
  pairs.context = {*start};
  return pairs;
}

std::vector<Likelihood> likelihoods(infer::Model& model, const TokenPairs& pairs) {
  infer::State state = model.new_state();
  std::vector<float> logits(static_cast<std::size_t>(model.vocab_size()));
  model.prefill(pairs.context, state, logits);
  std::vector<Likelihood> found;
  for (const auto& ids : pairs.continuations) found.push_back(go_on(model, state, logits, ids));
  return found;
}

}  // namespace adder::eval
