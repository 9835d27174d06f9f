// What the model will see, as a person can read it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adder/data/array.h"
#include "adder/data/shards.h"
#include "adder/data/split.h"
#include "adder/io/json.h"
#include "adder/text/tokenizer.h"

namespace adder::data {

/// The first `rows` rows of a token batch as the model will see them: "[0]" where document 0 of the
/// row begins, "<eos>" for control tokens, "|" after a token whose target is ignored, "[pad x 7]"
/// for padding, line ends as "\n". Where whole stretches are ignored (the questions of
/// conversations), what is learnt stands in "{" and "}" instead. Invalid UTF-8 shows as U+FFFD.
std::vector<std::string> describe_rows(const Batch& batch, const text::Tokenizer& tokenizer,
                                       int64_t rows = 4);

struct BatchCounts {
  int64_t rows = 0, length = 0;
  int64_t predictions = 0;
  int64_t ignored = 0;  // targets left out
  int64_t padding = 0;  // of those
};
BatchCounts count_batch(const Batch& batch);

/// What training draws from and what is held out: {"training": [{"name", "share", "tokens",
/// "documents"}, ...], "held_out": [{"name", "tokens", "documents"}, ...]}. Shares add up to 1;
/// `documents` are those that lie in the range, whole or in part.
io::Json describe_split(const ShardSet& shards, const Split& split);

}  // namespace adder::data
