// The control tokens of a model: which ids begin, end and pad a text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "adder/io/json.h"

namespace adder::model {

struct SpecialTokens {
  std::optional<int32_t> bos, pad;
  std::vector<int32_t> eos;  // each of them ends a text

  bool operator==(const SpecialTokens&) const = default;
};

/// bos_token_id, eos_token_id (a number or a list) and pad_token_id of generation_config.json in
/// `folder`, each one that is missing there from `config` (the folder's config.json or params.json,
/// named `file`), and what is missing there too from default_special_tokens(). null and negative
/// ids mean that there is none, a default outside the vocabulary too. Throws kConfig for a value of
/// another type and for an id that is not below `vocab_size`, naming file and key.
SpecialTokens read_special_tokens(const std::filesystem::path& folder, const io::Json& config,
                                  const std::string& file, int64_t vocab_size);

/// What a model has whose `config` does not say: with a model_type of Hugging Face that class's
/// defaults; the Mamba authors' models over GPT-NeoX's vocabulary its <|endoftext|> (0), Mistral's
/// <s> (1) and </s> (2).
SpecialTokens default_special_tokens(const io::Json& config);

/// All three keys, null where there is no such token: transformers fills a missing key with a
/// default of its own (eos 2), which would end texts early.
io::Json special_tokens_to_json(const SpecialTokens& tokens);

/// Takes the three keys out of a config.json.
void erase_special_tokens(io::Json& config);

}  // namespace adder::model
