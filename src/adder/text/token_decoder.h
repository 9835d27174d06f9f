// The `decoder` of a tokenizer.json: the bytes that a token's text stands for.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adder/io/json.h"

namespace adder::text {

class TokenDecoder {
 public:
  TokenDecoder() = default;
  /// ByteLevel, Replace of a text, ByteFallback, Fuse, Strip of a text's start after Fuse,
  /// Metaspace, and Sequence of them. Throws kUnsupported for others.
  static TokenDecoder from_json(const io::JsonView& part);

  std::string bytes(const std::string& token) const;

  /// Decoding a whole text drops up to `count` of `character` from its start.
  struct Strip {
    std::string character;
    int64_t count = 0;
  };
  const Strip& strip() const { return strip_; }

 private:
  void add(const io::JsonView& part);

  bool byte_level_ = false, byte_fallback_ = false, fused_ = false;
  std::vector<std::pair<std::string, std::string>> replacements_;
  Strip strip_;
};

}  // namespace adder::text
