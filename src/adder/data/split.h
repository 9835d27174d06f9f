// Which parts of a token stream are trained on, in what shares, and which are held out.
#pragma once

#include <string>
#include <vector>

#include "adder/data/shards.h"

namespace adder::data {

/// Ranges to draw training windows from, one after another; shares are relative to each other.
struct Portion {
  std::vector<TokenRange> ranges;
  double weight = 1;
  std::string name = {};

  int64_t size() const;  // tokens
};

struct Split {
  std::vector<Portion> train;
  std::vector<Portion> validation;  // empty: nothing is held out
};

/// Without `weights` everything that is trained on is one portion; else each part of the stream
/// that is not held out is one, with its weight. What is validated on: the parts of the stream that
/// are held out; where there are none, the end of each part, weights or not: of its tokens the
/// first floor(size * (1 - val_fraction)) are trained, the border may lie inside a document. Throws
/// kConfig unless 0 <= val_fraction < 1, for weights that are too few, too many or not above 0, and
/// when a part would be empty.
Split split_tokens(const ShardSet& shards, double val_fraction,
                   const std::vector<double>& weights = {});

}  // namespace adder::data
