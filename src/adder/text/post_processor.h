// The `post_processor` of a tokenizer.json: the token that goes before a text.
#pragma once

#include <cstdint>
#include <optional>

#include "adder/io/json.h"

namespace adder::text {

/// ByteLevel, TemplateProcessing with at most one token before the text and none after it, and
/// Sequence of them. Throws kUnsupported for others, kFormat for an id outside [0, vocab_size).
std::optional<int32_t> read_bos(const io::JsonView& part, int64_t vocab_size);

}  // namespace adder::text
