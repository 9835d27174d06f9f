#include "adder/train/text_size.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "adder/data/loader.h"
#include "adder/text/byte_tokenizer.h"

namespace adder::train {
namespace {

/// A tokenizer of words that puts a space before each but the first, as word tokenizers do.
class SpacedTokenizer final : public text::Tokenizer {
 public:
  std::string kind() const override { return "spaced"; }
  int64_t vocab_size() const override { return 3; }
  std::optional<int32_t> eos_id() const override { return std::nullopt; }
  std::vector<int32_t> encode(std::string_view) const override { return {}; }
  std::string token_bytes(int32_t id) const override { return std::string(size_t(id) + 1, 'x'); }
  std::string bytes_after(std::span<const int32_t> before, int32_t id) const override {
    return (before.empty() ? "" : " ") + token_bytes(id);
  }
  size_t cut_at(std::string_view text, size_t) const override { return text.size(); }
  std::string to_json() const override { return "{}"; }
};

data::Batch batch(const std::vector<int32_t>& tokens, const std::vector<int64_t>& targets,
                  const std::vector<int32_t>& seq_idx, int64_t rows) {
  const auto columns = static_cast<int64_t>(tokens.size()) / rows;
  data::Batch batch;
  batch["tokens"] = data::Array::zeros(DType::i32, {rows, columns});
  batch["targets"] = data::Array::zeros(DType::i64, {rows, columns});
  std::ranges::copy(tokens, batch["tokens"].as<int32_t>().begin());
  std::ranges::copy(targets, batch["targets"].as<int64_t>().begin());
  if (!seq_idx.empty()) {
    batch["seq_idx"] = data::Array::zeros(DType::i32, {rows, columns});
    std::ranges::copy(seq_idx, batch["seq_idx"].as<int32_t>().begin());
  }
  return batch;
}

TEST(TextSize, PartsOfACharacterCountOnce) {
  const text::ByteTokenizer bytes;
  const auto ids = bytes.encode("aé€😀");  // 1 + 2 + 3 + 4 bytes
  ASSERT_EQ(ids.size(), 10u);
  const std::vector<int64_t> targets(ids.begin() + 1, ids.end());
  const std::vector<int32_t> tokens(ids.begin(), ids.end() - 1);
  EXPECT_EQ(target_characters(batch(tokens, targets, {}, 1), bytes), 3);  // all but the "a"
}

TEST(TextSize, ImpliedSpacesCountAndIgnoredTargetsDoNot) {
  constexpr int64_t kNone = data::kIgnoreTarget;
  const SpacedTokenizer words;
  // Two documents in the first row, padding at the end of the second.
  const auto one =
      batch({0, 1, 2, 0, 1, 0}, {1, kNone, 0, 1, kNone, kNone}, {0, 0, 1, 0, 0, -1}, 2);
  EXPECT_EQ(target_characters(one, words), (1 + 2) + (1 + 1) + (1 + 2));
  const auto alone = batch({0, 0}, {2, 2}, {}, 2);
  EXPECT_EQ(target_characters(alone, words), 2 * (1 + 3));
}

}  // namespace
}  // namespace adder::train
