// One token for each word. Words that the vocabulary lacks are spelled in characters, characters
// that it lacks are left out; nothing is ever refused.
//
// Spaces have no tokens where they are usual (word_spacing.h). With `space = "explicit"` one marker
// turns the usual spacing round at one place, and two spaces or more, or those at the end of a
// text, are tokens of the space, so that decode(encode(text)) == word_text(text), but for the
// characters left out. With "implicit" a marker only parts two spelled words. A spelled word needs
// no markers of its own: letters as characters have other ids than words of one letter, and usually
// join each other. Of an unknown word with apostrophes or hyphens only the unknown parts are
// spelled.
#pragma once

#include <memory>

#include "adder/text/added_tokens.h"
#include "adder/text/tokenizer.h"
#include "adder/text/word_vocabulary.h"

namespace adder::text {

class WordTokenizer final : public Tokenizer {
 public:
  explicit WordTokenizer(WordVocabulary vocabulary);

  /// Reads to_json(). Throws kFormat with the field, kUnsupported for another version.
  static std::unique_ptr<WordTokenizer> from_json(const io::JsonView& root);
  /// Whether a file holds a word tokenizer.
  static bool is_word_json(const io::JsonView& root);

  std::string kind() const override { return "word"; }
  int64_t vocab_size() const override { return vocabulary_.size(); }
  std::optional<int32_t> eos_id() const override { return WordVocabulary::kEos; }
  std::optional<int32_t> id_of(std::string_view token) const override;
  std::vector<int32_t> encode(std::string_view text) const override;
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options) const override;
  std::vector<Dropped> dropped(std::string_view text) const override;
  bool is_added(int32_t id) const override;
  bool is_control(int32_t id) const override;
  /// Without the space that stands before it.
  std::string token_bytes(int32_t id) const override;
  std::string bytes_after(std::span<const int32_t> before, int32_t id) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  size_t cut_at(std::string_view text, size_t limit) const override;
  std::string to_json() const override;
  std::string file_name() const override { return "word_tokenizer.json"; }

  const WordVocabulary& vocabulary() const { return vocabulary_; }
  /// The token is a character, not a word of one letter nor a control token.
  bool is_character(int32_t id) const;
  /// The ids of the characters that spell the word or character `id`.
  std::vector<int32_t> spelling(int32_t id) const;
  /// Every id of `old` means the same here.
  bool extends(const WordTokenizer& old) const;

 private:
  bool is_known_word(std::string_view text) const;
  bool is_cut(std::string_view text, size_t at) const;

  WordVocabulary vocabulary_;
  std::vector<std::string> controls_;
  std::unique_ptr<std::vector<AddedToken>> added_;  // the control tokens, at one address
  AddedTokenFinder finder_;
};

}  // namespace adder::text
