// One token for each character (Unicode code point) of a known set.
#pragma once

#include <set>
#include <unordered_map>

#include "adder/text/tokenizer.h"

namespace adder::text {

/// What a character tokenizer is made of. Ids: the characters as listed, then <eos>, then <unk>.
struct CharVocabulary {
  std::vector<char32_t> characters;  // distinct; sorted when trained
  bool eos = false;
  bool unk = false;  // unknown characters become <unk>; without it they are an error
};

class CharTokenizer final : public Tokenizer {
 public:
  /// Throws kFormat for repeated characters or an empty vocabulary.
  explicit CharTokenizer(CharVocabulary vocabulary);

  /// The sorted set of the characters of `text`. Throws kFormat for invalid UTF-8 or an empty text.
  static CharTokenizer train(std::string_view text, bool eos = false, bool unk = false);

  std::string kind() const override { return "char"; }
  int64_t vocab_size() const override;
  std::optional<int32_t> eos_id() const override;
  std::optional<int32_t> unk_id() const;
  using Tokenizer::encode;
  std::vector<int32_t> encode(std::string_view text) const override;
  std::string token_bytes(int32_t id) const override;
  size_t cut_at(std::string_view text, size_t limit) const override;
  std::string to_json() const override;

  const CharVocabulary& vocabulary() const { return vocabulary_; }

 private:
  CharVocabulary vocabulary_;
  std::unordered_map<char32_t, int32_t> ids_;
};

/// Adds the characters of `text` to `characters`: training over several texts. Throws kFormat for
/// invalid UTF-8.
void collect_characters(std::string_view text, std::set<char32_t>& characters);

}  // namespace adder::text
