// From logits to the next token. In this order, each step on what the one before has left:
//
//   repetition penalty   the logit of every token that occurred: divided by p when positive, else
//                        multiplied by it (Keskar et al., arXiv 1909.05858, section 4.1)
//   temperature          logits / T; T = 0: the largest logit, the lowest id among equals, and no
//                        more steps
//   top-k                the k most likely
//   top-p                the fewest most likely tokens that hold at least p
//                        (Holtzman et al., arXiv 1904.09751)
//   min-p                those with at least min_p times the probability of the most likely
//                        (Nguyen et al., arXiv 2407.01082)
//   draw                 by the probabilities of the rest
//
// Among equal logits the lower id counts as the more likely.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "adder/base/options.h"
#include "adder/base/rng.h"
#include "adder/infer/token_history.h"

namespace adder::infer {

struct SamplerOptions {
  double temperature = 1;         // 0, or 1e-4 to 1e4
  int64_t top_k = 0;              // 0: off
  double top_p = 1;               // 1: off
  double min_p = 0;               // 0: off
  double repetition_penalty = 1;  // 0.01 to 100
  int64_t seed = 0;

  void describe(OptionVisitor& v);
  /// Throws kConfig.
  void check() const;
};

class Sampler {
 public:
  /// `limit`: ids from there on are never drawn (rows that pad the vocabulary); 0: none.
  explicit Sampler(const SamplerOptions& options, int64_t limit = 0);

  struct Choice {
    int32_t id;
    double probability;
  };
  /// What sample() draws from: tokens with a chance and their probabilities, which add up to 1.
  /// `history`: the tokens before. Valid until the next call. Throws kNumeric for logits that
  /// are NaN or +infinity, or when no token is possible.
  std::span<const Choice> distribution(std::span<const float> logits, const TokenHistory& history);

  int32_t sample(std::span<const float> logits, const TokenHistory& history);

  /// How many random words were drawn: with the seed, all there is to know to go on.
  uint64_t position() const { return rng_.position(); }
  void seek(uint64_t position) { rng_.seek(position); }

 private:
  void collect(std::span<const float> logits, const TokenHistory& history);
  void keep_likeliest(int64_t count);
  void keep_mass(double mass);

  SamplerOptions options_;
  int64_t limit_;
  Rng rng_;
  std::vector<Choice> choices_;  // `probability` holds the logit until the end
};

}  // namespace adder::infer
