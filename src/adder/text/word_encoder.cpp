#include "adder/text/word_encoder.h"

#include "adder/text/utf8.h"
#include "adder/text/word_lexer.h"

namespace adder::text {

using Vocabulary = WordVocabulary;

WordEncoder::WordEncoder(const Vocabulary& vocabulary, Spacing left, std::vector<int32_t>& ids)
    : vocabulary_(vocabulary),
      ids_(ids),
      state_(left),
      explicit_(vocabulary.options().space == "explicit"),
      fold_case_(vocabulary.options().fold_case) {}

void WordEncoder::encode(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const Lexeme lexeme = next_lexeme(text, at);
    const std::string_view piece = text.substr(at, lexeme.size);
    at += lexeme.size;
    switch (lexeme.kind) {
      case LexKind::kWord:
        word(piece);
        break;
      case LexKind::kSpaces:
        spaces_ += lexeme.size;
        break;
      case LexKind::kOther:
        character(read_utf8(piece, 0).value);
        break;
      default:
        if (!known(piece)) spell(piece);
    }
  }
  if (explicit_) put_spaces();
}

void WordEncoder::word(std::string_view word) {
  if (known(word)) return;
  for (std::string_view rest = word; !rest.empty();) {
    const std::string_view part = rest.substr(0, word_part_size(rest));
    if (part.size() == word.size() || !known(part)) spell(part);
    rest.remove_prefix(part.size());
  }
}

bool WordEncoder::known(std::string_view word) {
  WordCase word_case = WordCase::kLower;
  int32_t id = -1;
  if (fold_case_) {
    if (const auto folded = fold_case(word, lower_)) {
      id = vocabulary_.find_word(lower_);
      word_case = *folded;
    }
  }
  if (id < 0) {
    id = vocabulary_.find_word(word);
    word_case = WordCase::kLower;
  }
  if (id >= 0) put(id, word_case);
  return id >= 0;
}

void WordEncoder::spell(std::string_view word) {
  for_each_code_point(word, [&](char32_t value, size_t) { character(value); });
}

void WordEncoder::character(char32_t value) {
  if (const int32_t id = vocabulary_.find_character(value); id >= 0) put(id);
}

void WordEncoder::put_spaces() {
  const int32_t space = vocabulary_.find_character(U' ');
  for (; spaces_ > 0; --spaces_) {
    ids_.push_back(space);
    state_.put(Spacing::kBlank, false);
  }
}

void WordEncoder::put(int32_t id, WordCase word_case) {
  const Spacing spacing = vocabulary_.spacing(id);
  if (explicit_ && spaces_ > 1) put_spaces();
  const bool usual = state_.usual(spacing);
  bool spaced = spaces_ > 0;
  if (!explicit_) {  // a word goes on only where it does so in the text
    const bool parts = spacing == Spacing::kSpelled && state_.after(Spacing::kSpelled);
    if (!parts) spaced = usual;
  }
  if (spaced != usual) ids_.push_back(Vocabulary::kJoin);
  if (word_case == WordCase::kCapital) ids_.push_back(Vocabulary::kCapital);
  if (word_case == WordCase::kUpper) ids_.push_back(Vocabulary::kUpper);
  ids_.push_back(id);
  state_.put(spacing, spaced);
  spaces_ = 0;
}

void WordDecoder::add(int32_t id, std::string& out) {
  if (vocabulary_.is_marker(id)) {
    if (id == Vocabulary::kJoin) marked_ = true;
    if (id == Vocabulary::kCapital) word_case_ = WordCase::kCapital;
    if (id == Vocabulary::kUpper) word_case_ = WordCase::kUpper;
    return;
  }
  const Spacing spacing = vocabulary_.spacing(id);
  const std::string& text = vocabulary_.text(id);
  const bool spaced = state_.usual(spacing) != marked_ && !text.empty();
  if (spaced) out += ' ';
  const bool folded = word_case_ != WordCase::kLower && spacing == Spacing::kWord;
  out += folded ? in_case(text, word_case_) : text;
  state_.put(spacing, spaced);
  marked_ = false;
  word_case_ = WordCase::kLower;
}

}  // namespace adder::text
