// Stands in for the tokenizer of a model that has none: ids without text.
#pragma once

#include "adder/text/tokenizer.h"

namespace adder::cli {

class NoTokenizer final : public text::Tokenizer {
 public:
  explicit NoTokenizer(int64_t vocab_size) : vocab_size_(vocab_size) {}

  std::string kind() const override { return "none"; }
  int64_t vocab_size() const override { return vocab_size_; }
  std::optional<int32_t> eos_id() const override { return std::nullopt; }
  std::vector<int32_t> encode(std::string_view) const override { return {}; }
  std::string token_bytes(int32_t id) const override {
    check_id(id);
    return {};
  }
  size_t cut_at(std::string_view text, size_t) const override { return text.size(); }
  std::string to_json() const override { return "{}"; }

 private:
  int64_t vocab_size_;
};

}  // namespace adder::cli
