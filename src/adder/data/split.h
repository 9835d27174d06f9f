// Which parts of a token stream are trained on, in what shares, and which are held out.
#pragma once

#include <string>
#include <vector>

#include "adder/data/shards.h"

namespace adder::data {

/// A range to draw training windows from; shares are relative to each other.
struct Portion {
  TokenRange range;
  double weight = 1;
  std::string name = {};
};

struct Split {
  std::vector<Portion> train;
  std::vector<Portion> validation;  // empty: nothing is held out
};

/// Without `weights` everything that is trained on is one portion; else each part of the stream
/// that is not held out is one, with its weight. What is validated on: the parts of the stream that
/// are held out; where there are none, the end of each portion. One document: the first floor(size
/// * (1 - val_fraction)) tokens are trained. Several: whole documents, the fewest at the end that
/// hold at least that share, but never all of them. Throws kConfig unless 0 <= val_fraction < 1,
/// for too few or many weights (list_corpora() checks their values), and when a part would be
/// empty.
Split split_tokens(const ShardSet& shards, double val_fraction,
                   const std::vector<double>& weights = {});

}  // namespace adder::data
