#include "adder/data/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "adder/base/error.h"

namespace adder::data {
namespace {

/// Where the end of `range` that is held out begins.
int64_t border_of(TokenRange range, double val_fraction) {
  auto border =
      static_cast<int64_t>(std::floor(static_cast<double>(range.size()) * (1 - val_fraction)));
  border = range.begin + std::min(border, range.size() - 1);
  if (border <= range.begin) {
    throw Error(
        ErrorKind::kConfig,
        {.what = "the text is too small to hold a part of it out for validation",
         .why = fmt::format("it has {} tokens, val_fraction is {}", range.size(), val_fraction),
         .next = "give more text, or set val_fraction to 0"});
  }
  return border;
}

void check_weights(const std::vector<double>& weights, size_t portions) {
  if (!weights.empty() && weights.size() != portions) {
    throw Error(ErrorKind::kConfig,
                {.what = "the weights do not fit the texts",
                 .where = "data.weights",
                 .why = fmt::format("there are {} weights for {} texts", weights.size(), portions),
                 .next = "give one for each entry of data.text, or none"});
  }
  for (const double weight : weights) {
    if (weight > 0 && std::isfinite(weight)) continue;
    throw Error(ErrorKind::kConfig,
                {.what = fmt::format("{} is no weight of a text", weight),
                 .where = "data.weights",
                 .next = "give numbers above 0; leave a text out of data.text to give it none"});
  }
}

/// Goes on with `range`, as one with what stands right before it.
void append(std::vector<TokenRange>& ranges, TokenRange range) {
  if (!ranges.empty() && ranges.back().end == range.begin) {
    ranges.back().end = range.end;
  } else {
    ranges.push_back(range);
  }
}

/// Puts `range` of a part into the last portion, or into one of its own.
void add(std::vector<Portion>& portions, TokenRange range, const std::string& name, bool apart) {
  if (apart || portions.empty()) {
    portions.push_back({.name = name});
  } else {
    portions.back().name.clear();  // it is of several parts
  }
  append(portions.back().ranges, range);
}

}  // namespace

Split split_tokens(const ShardSet& shards, double val_fraction,
                   const std::vector<double>& weights) {
  if (!(val_fraction >= 0 && val_fraction < 1)) {
    throw Error(ErrorKind::kConfig, {.what = fmt::format("val_fraction is {}", val_fraction),
                                     .why = "it must be at least 0 and below 1"});
  }
  const auto& parts = shards.manifest().parts;
  const bool held_out = std::ranges::any_of(parts, &ShardPart::held_out);
  const bool apart = !weights.empty();
  Split split;
  int64_t begin = 0;
  for (const ShardPart& part : parts) {
    TokenRange range{begin, begin += part.tokens};
    if (part.held_out) {
      add(split.validation, range, part.name, apart);
      continue;
    }
    if (!held_out && val_fraction > 0) {
      const int64_t border = border_of(range, val_fraction);
      add(split.validation, {border, range.end}, part.name, apart);
      range.end = border;
    }
    add(split.train, range, part.name, apart);
  }
  if (split.train.empty()) {
    throw Error(ErrorKind::kConfig, {.what = "every part of the token shards is held out",
                                     .where = shards.folder().string(),
                                     .why = "nothing is left to train on"});
  }
  check_weights(weights, split.train.size());
  for (size_t i = 0; i < weights.size(); ++i) split.train[i].weight = weights[i];
  return split;
}

int64_t Portion::size() const {
  int64_t tokens = 0;
  for (const TokenRange range : ranges) tokens += range.size();
  return tokens;
}

}  // namespace adder::data
