// The control tokens of a model: which ids begin, end and pad a text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <vector>

#include "adder/io/json.h"

namespace adder::model {

struct SpecialTokens {
  std::optional<int32_t> bos, pad;
  std::vector<int32_t> eos;  // each of them ends a text

  bool operator==(const SpecialTokens&) const = default;
};

/// bos_token_id, eos_token_id (a number or a list) and pad_token_id of generation_config.json in
/// `folder`, each one that is missing there from `config` (the folder's config.json). Negative ids
/// count as missing. Throws kConfig for a value of another type, naming file and key.
SpecialTokens read_special_tokens(const std::filesystem::path& folder, const io::Json& config);

/// All three keys, null where there is no such token: transformers fills a missing key with a
/// default of its own (eos 2), which would end texts early.
io::Json special_tokens_to_json(const SpecialTokens& tokens);

/// Takes the three keys out of a config.json.
void erase_special_tokens(io::Json& config);

}  // namespace adder::model
