// The frame of a `tokenizer.json` in the layout of the Hugging Face `tokenizers` library (version
// "1.0"): what all kinds write and read the same way.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "adder/io/json.h"

namespace adder::text {

inline constexpr const char* kEosToken = "<eos>";
inline constexpr const char* kUnkToken = "<unk>";

/// The Split pattern of the character tokenizer: any one character, newlines included.
inline constexpr const char* kEveryCharacter = "[\\s\\S]";

/// Member of an added token that ends a text: Adder's own, passed over by the reference library.
inline constexpr const char* kEosRole = "ends_text";

inline constexpr io::JsonLimits kTokenizerFileLimits = {.max_bytes = int64_t{256} << 20};

/// Control tokens, by text and id.
using ControlTokens = std::vector<std::pair<std::string, int32_t>>;

/// The entry of a control token in `added_tokens`.
io::Json hf_added_token(const std::string& content, int32_t id);

/// version, truncation, padding, added_tokens, normalizer, pre_tokenizer, post_processor, decoder,
/// model; the last five null.
io::Json hf_frame(const ControlTokens& control_tokens);

/// `model`: BPE with these tokens and merges, every other setting at its plain value.
io::Json hf_bpe_model(io::Json vocab, io::Json merges);

/// A byte-level BPE tokenizer, whole. `use_regex`: cut into words by GPT-2's pattern first.
io::Json hf_byte_level_bpe(const ControlTokens& control_tokens, bool use_regex, io::Json vocab,
                           io::Json merges);

/// The added tokens of a file. Each id must be the one that the model's vocabulary gives, or come
/// after it. Throws kFormat for malformed entries, repeated ids and texts; kUnsupported for options
/// other than Adder's own (lstrip, rstrip, single_word, normalized).
ControlTokens read_control_tokens(const io::JsonView& root);

/// Throws kUnsupported unless `key` is missing or null.
void require_null(const io::JsonView& root, const char* key);

/// Pairs of model.vocab. Throws kFormat for ids outside [0, 2^31) or used twice.
std::vector<std::pair<std::string, int32_t>> read_vocabulary(const io::JsonView& model);

}  // namespace adder::text
