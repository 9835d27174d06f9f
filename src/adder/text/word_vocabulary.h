// The tokens of the word tokenizer. Ids: the control tokens, then block after block its characters
// (by code point) and its words. The first block is what the vocabulary was made from; each
// extension adds one, so that old ids stay.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "adder/text/word_characters.h"
#include "adder/text/word_options.h"

namespace adder::text {

struct WordBlock {
  std::string corpus;                // names the texts it was made from: 32 hex digits
  std::vector<char32_t> characters;  // ascending when made here
  std::vector<std::string> words;    // each one lexeme: a word, a number or "\n\n"
};

class WordVocabulary {
 public:
  static constexpr int32_t kPad = 0, kBos = 1, kEos = 2;
  static constexpr int32_t kJoin = 3;                 // spacing is not the usual here
  static constexpr int32_t kCapital = 4, kUpper = 5;  // with fold_case: case of the next word
  static constexpr size_t kMaxWord = 128;             // bytes; longer words are spelled
  static constexpr int64_t kMaxTokens = int64_t{1} << 24;

  /// `specials`: more control tokens, by their texts. Throws kFormat for texts that stand twice or
  /// are no single lexeme, where the first block lacks the space or the line end, and for too many.
  WordVocabulary(WordOptions options, std::vector<std::string> specials,
                 std::vector<WordBlock> blocks);

  const WordOptions& options() const { return options_; }
  const std::vector<std::string>& specials() const { return specials_; }
  const std::vector<WordBlock>& blocks() const { return blocks_; }
  /// Texts of the control tokens, by id: fixed_controls(), then specials().
  std::vector<std::string> controls() const;
  /// Those of every vocabulary with these options: "<pad>", "<bos>", "<eos>", "<join>", ...
  static std::vector<std::string> fixed_controls(const WordOptions& options);

  /// Stands for nothing itself: it says how the next token is written.
  bool is_marker(int32_t id) const {
    return id == kJoin || (options_.fold_case && (id == kCapital || id == kUpper));
  }

  int64_t size() const { return static_cast<int64_t>(texts_.size()); }
  /// A word's or character's UTF-8; "" for a control token.
  const std::string& text(int32_t id) const { return texts_[static_cast<size_t>(id)]; }
  Spacing spacing(int32_t id) const { return spacings_[static_cast<size_t>(id)]; }

  /// The id, or a negative number.
  int32_t find_word(std::string_view word) const;
  int32_t find_character(char32_t value) const {
    if (value < kTable) return table_[value];
    const auto found = others_.find(value);
    return found == others_.end() ? -1 : found->second;
  }

  /// XXH3-128 over all that ids depend on.
  std::string hash() const;

 private:
  static constexpr char32_t kTable = 0x3000;

  void add(std::string text, Spacing spacing);
  void add_character(char32_t value);
  void add_word(const std::string& word);
  void grow_slots();
  size_t slot_of(std::string_view word) const;

  WordOptions options_;
  std::vector<std::string> specials_;
  std::vector<WordBlock> blocks_;
  std::vector<std::string> texts_;  // by id
  std::vector<Spacing> spacings_;   // by id
  std::array<int32_t, kTable> table_;
  std::unordered_map<char32_t, int32_t> others_;
  std::vector<int32_t> words_;  // their ids
  std::vector<int32_t> slots_;  // the same by hash, open addressing; -1: free
};

}  // namespace adder::text
