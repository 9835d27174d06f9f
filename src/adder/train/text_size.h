// How much text the targets of a batch are: what turns nats a token into bits a character, which
// compares models of unlike tokenizers.
#pragma once

#include <cstdint>

#include "adder/data/array.h"
#include "adder/text/tokenizer.h"

namespace adder::train {

/// Characters (code points) that the targets of `batch` (data/loader.h) add to their texts, spaces
/// that the tokenizer implies included.
int64_t target_characters(const data::Batch& batch, const text::Tokenizer& tokenizer);

}  // namespace adder::train
