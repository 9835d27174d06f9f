// A batch as a person can read it.
#pragma once

#include <cstdint>
#include <string>

#include "adder/data/array.h"
#include "adder/text/tokenizer.h"

namespace adder::data {

/// The first `rows` rows of a token batch as the model will see them, one line a row: "[0]" where
/// document 0 of the row begins, "<eos>" for control tokens, "|" after a token whose target is
/// ignored, "[pad x 7]" for padding, line ends as "\n". Invalid UTF-8 shows as U+FFFD. Then a line
/// of counts over the whole batch.
std::string describe_batch(const Batch& batch, const text::Tokenizer& tokenizer, int64_t rows = 4);

}  // namespace adder::data
