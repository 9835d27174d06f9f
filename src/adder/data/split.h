// Which part of a token stream is trained on and which is held out.
#pragma once

#include "adder/data/shards.h"

namespace adder::data {

struct Split {
  TokenRange train;
  TokenRange validation;  // empty when val_fraction is 0
};

/// The end of the stream is held out. One document: the first floor(size * (1 - val_fraction))
/// tokens are trained. Several: whole documents, the fewest at the end that hold at least that
/// share, but never all of them. Throws kConfig unless 0 <= val_fraction < 1, or when a part would
/// be empty.
Split split_tokens(const ShardSet& shards, double val_fraction);

}  // namespace adder::data
