// One token for each byte: id = byte value, and <eos> = 256. Encodes anything, valid UTF-8 or not.
#pragma once

#include "adder/text/tokenizer.h"

namespace adder::text {

class ByteTokenizer final : public Tokenizer {
 public:
  static constexpr int32_t kEos = 256;

  std::string kind() const override { return "byte"; }
  int64_t vocab_size() const override { return 257; }
  std::optional<int32_t> eos_id() const override { return kEos; }
  using Tokenizer::encode;
  std::vector<int32_t> encode(std::string_view text) const override;
  std::string token_bytes(int32_t id) const override;
  size_t cut_at(std::string_view text, size_t limit) const override;
  std::string to_json() const override;
};

}  // namespace adder::text
