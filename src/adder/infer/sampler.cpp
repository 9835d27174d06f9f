#include "adder/infer/sampler.h"

#include <algorithm>
#include <cmath>

#include "adder/base/error.h"

namespace adder::infer {
namespace {

constexpr const char* kDamaged =
    "the model's weights are damaged: use an earlier checkpoint, or the original file";

bool likelier(const Sampler::Choice& a, const Sampler::Choice& b) {
  return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
}
bool less_likely(const Sampler::Choice& a, const Sampler::Choice& b) {
  return likelier(b, a);
}

void require(bool good, const char* option, double value, const char* why) {
  if (good) return;
  throw Error(ErrorKind::kConfig,
              {.what = std::string(option) + " = " + to_text(OptionRef(&value)) + " does not fit",
               .where = option,
               .why = why});
}

}  // namespace

void SamplerOptions::describe(OptionVisitor& v) {
  v.field("temperature", temperature, "divides the logits; 0: always the most likely token");
  v.field("top_k", top_k, "draw from this many most likely tokens; 0: all");
  v.field("top_p", top_p,
          "draw from the fewest most likely tokens that hold this probability; 1: all");
  v.field("min_p", min_p, "leave out tokens below this times the best probability; 0: none");
  v.field("repetition_penalty", repetition_penalty, "weakens tokens that occurred; 1: off");
  v.field("seed", seed, "of the random draws");
}

void SamplerOptions::check() const {
  require(temperature == 0 || (temperature >= 1e-4 && temperature <= 1e4), "temperature",
          temperature, "it must be 0, or between 0.0001 and 10000");
  require(top_k >= 0, "top_k", static_cast<double>(top_k), "it must be 0 or more");
  require(top_p > 0 && top_p <= 1, "top_p", top_p, "it must be above 0 and at most 1");
  require(min_p >= 0 && min_p <= 1, "min_p", min_p, "it must lie between 0 and 1");
  require(repetition_penalty >= 0.01 && repetition_penalty <= 100, "repetition_penalty",
          repetition_penalty, "it must lie between 0.01 and 100");
}

Sampler::Sampler(const SamplerOptions& options, int64_t limit)
    : options_(options),
      limit_(limit),
      rng_(static_cast<uint64_t>(options.seed), stream_of("sampler")) {
  options_.check();
}

void Sampler::collect(std::span<const float> logits, const TokenHistory& history) {
  const auto size = static_cast<int64_t>(logits.size());
  const int64_t count = limit_ > 0 ? std::min(limit_, size) : size;
  choices_.clear();
  for (int64_t id = 0; id < count; ++id) {
    const float logit = logits[static_cast<std::size_t>(id)];
    if (std::isnan(logit) || logit == INFINITY) {
      throw Error(ErrorKind::kNumeric,
                  {.what = "the logit of token " + std::to_string(id) + " is not finite",
                   .why = "the model's weights or its state hold values that are not finite",
                   .next = kDamaged});
    }
    choices_.push_back({static_cast<int32_t>(id), logit});
  }
  if (options_.repetition_penalty != 1) {  // a token counts once, however often it occurred
    for (Choice& choice : choices_) {
      double& logit = choice.probability;
      if (!history.occurred(choice.id)) continue;
      logit = logit > 0 ? logit / options_.repetition_penalty : logit * options_.repetition_penalty;
    }
  }
  std::erase_if(choices_, [](const Choice& c) { return c.probability == -INFINITY; });
  if (choices_.empty()) {
    throw Error(ErrorKind::kNumeric,
                {.what = "no token has a chance to come next", .next = kDamaged});
  }
}

void Sampler::keep_likeliest(int64_t count) {
  const auto keep = std::min(static_cast<std::size_t>(count), choices_.size());
  const auto end = choices_.begin() + static_cast<std::ptrdiff_t>(keep);
  std::partial_sort(choices_.begin(), end, choices_.end(), likelier);
  choices_.resize(keep);
}

/// The largest logit is 0 here. The likeliest come off a heap one by one, so that a small part of a
/// large vocabulary costs little.
void Sampler::keep_mass(double mass) {
  double total = 0;
  for (const Choice& choice : choices_) total += std::exp(choice.probability);
  std::make_heap(choices_.begin(), choices_.end(), less_likely);
  auto end = choices_.end();
  double held = 0;
  while (end != choices_.begin() && held < mass * total) {
    std::pop_heap(choices_.begin(), end, less_likely);
    --end;
    held += std::exp(end->probability);
  }
  choices_.erase(choices_.begin(), end);
  std::reverse(choices_.begin(), choices_.end());
}

std::span<const Sampler::Choice> Sampler::distribution(std::span<const float> logits,
                                                       const TokenHistory& history) {
  collect(logits, history);
  if (options_.temperature == 0) {
    keep_likeliest(1);
    choices_[0].probability = 1;
    return choices_;
  }
  // The largest becomes 0 before it is divided, so that nothing can overflow.
  const double top = std::max_element(choices_.begin(), choices_.end(), less_likely)->probability;
  for (Choice& choice : choices_) {
    choice.probability = (choice.probability - top) / options_.temperature;
  }
  if (options_.top_k > 0) keep_likeliest(options_.top_k);
  if (options_.top_p < 1) keep_mass(options_.top_p);
  for (Choice& choice : choices_) choice.probability = std::exp(choice.probability);
  if (options_.min_p > 0) {  // the most likely has 1 here
    std::erase_if(choices_, [&](const Choice& c) { return c.probability < options_.min_p; });
  }
  double total = 0;
  for (const Choice& choice : choices_) total += choice.probability;
  if (!std::isfinite(total)) {
    throw Error(ErrorKind::kNumeric,
                {.what = "the probabilities of the next token are not finite", .next = kDamaged});
  }
  for (Choice& choice : choices_) choice.probability /= total;
  return choices_;
}

int32_t Sampler::sample(std::span<const float> logits, const TokenHistory& history) {
  const std::span<const Choice> choices = distribution(logits, history);
  if (choices.size() == 1) return choices[0].id;
  double u = rng_.uniform();
  for (const Choice& choice : choices) {
    u -= choice.probability;
    if (u < 0) return choice.id;
  }
  return choices.back().id;  // the probabilities added up to a little less than 1
}

}  // namespace adder::infer
