#include "adder/data/split.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "adder/base/error.h"

namespace adder::data {
namespace {

/// Where the end of `range` that is held out begins.
int64_t border_of(const ShardSet& shards, TokenRange range, double val_fraction) {
  auto border =
      static_cast<int64_t>(std::floor(static_cast<double>(range.size()) * (1 - val_fraction)));
  border = range.begin + std::min(border, range.size() - 1);
  const int64_t first = shards.document_at(range.begin);
  if (first != shards.document_at(range.end - 1)) {
    border = shards.document(std::max(shards.document_at(border), first + 1)).begin;
  }
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
}

}  // namespace

Split split_tokens(const ShardSet& shards, double val_fraction,
                   const std::vector<double>& weights) {
  if (!(val_fraction >= 0 && val_fraction < 1)) {
    throw Error(ErrorKind::kConfig, {.what = fmt::format("val_fraction is {}", val_fraction),
                                     .why = "it must be at least 0 and below 1"});
  }
  Split split;
  int64_t begin = 0;
  for (const ShardPart& part : shards.manifest().parts) {
    const TokenRange range{begin, begin += part.tokens};
    if (part.held_out) {
      split.validation.push_back({.range = range, .name = part.name});
    } else if (weights.empty() && !split.train.empty() &&
               split.train.back().range.end == range.begin) {
      split.train.back() = {.range = {split.train.back().range.begin, range.end}};
    } else {
      split.train.push_back({.range = range, .name = part.name});
    }
  }
  if (split.train.empty()) {
    throw Error(ErrorKind::kConfig, {.what = "every part of the token shards is held out",
                                     .where = shards.folder().string(),
                                     .why = "nothing is left to train on"});
  }
  check_weights(weights, split.train.size());
  for (size_t i = 0; i < weights.size(); ++i) split.train[i].weight = weights[i];
  if (!split.validation.empty() || val_fraction == 0) return split;
  for (Portion& portion : split.train) {
    const int64_t border = border_of(shards, portion.range, val_fraction);
    split.validation.push_back({.range = {border, portion.range.end}, .name = portion.name});
    portion.range.end = border;
  }
  return split;
}

}  // namespace adder::data
