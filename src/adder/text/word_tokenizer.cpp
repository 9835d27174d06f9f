#include "adder/text/word_tokenizer.h"

#include <algorithm>
#include <map>

#include "adder/text/unicode.h"
#include "adder/text/utf8.h"
#include "adder/text/word_encoder.h"
#include "adder/text/word_lexer.h"
#include "adder/text/word_text.h"

namespace adder::text {

WordTokenizer::WordTokenizer(WordVocabulary vocabulary)
    : vocabulary_(std::move(vocabulary)),
      controls_(vocabulary_.controls()),
      added_(std::make_unique<std::vector<AddedToken>>()) {
  for (size_t id = 0; id < controls_.size(); ++id) {
    added_->push_back({.content = controls_[id], .id = static_cast<int32_t>(id), .special = true});
  }
  std::vector<const AddedToken*> tokens;
  for (const AddedToken& token : *added_) tokens.push_back(&token);
  finder_ = AddedTokenFinder(std::move(tokens));
}

std::optional<int32_t> WordTokenizer::id_of(std::string_view token) const {
  const auto control = std::ranges::find(controls_, token);
  if (control != controls_.end()) return static_cast<int32_t>(control - controls_.begin());
  const int32_t word = vocabulary_.find_word(token);
  if (word >= 0) return word;
  if (token.empty()) return std::nullopt;
  const Utf8Step step = read_utf8(token, 0);
  if (!step.valid || static_cast<size_t>(step.length) != token.size()) return std::nullopt;
  const int32_t character = vocabulary_.find_character(step.value);
  return character < 0 ? std::nullopt : std::optional(character);
}

bool WordTokenizer::is_added(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < controls_.size();
}

bool WordTokenizer::is_control(int32_t id) const {
  return is_added(id) && !vocabulary_.is_marker(id);
}

std::vector<int32_t> WordTokenizer::encode(std::string_view text) const {
  return encode(text, EncodeOptions());
}

std::vector<int32_t> WordTokenizer::encode(std::string_view raw,
                                           const EncodeOptions& options) const {
  std::string buffer;
  const std::string_view text = word_text(raw, buffer);
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 1);
  const auto encode_plain = [&](std::string_view piece, Before before) {
    // Where text goes on with a space, a word stands before it: see is_cut().
    const bool goes_on = before == Before::kText && piece.starts_with(' ');
    WordEncoder(vocabulary_, goes_on ? Spacing::kWord : Spacing::kBlank, ids).encode(piece);
  };
  if (options.specials == Specials::kAsText) {
    encode_plain(text, options.before);
    return ids;
  }
  const auto is_plain = [&](const AddedToken& token) {
    return std::ranges::any_of(options.plain_in, [&](const std::string& plain) {
      return plain.find(token.content) != std::string::npos;
    });
  };
  bool first = true;
  finder_.split(text, is_plain, [&](std::string_view piece, std::optional<int32_t> id) {
    if (id) ids.push_back(*id);
    if (!id) encode_plain(piece, first ? options.before : Before::kToken);
    first = false;
  });
  return ids;
}

std::vector<Dropped> WordTokenizer::dropped(std::string_view raw) const {
  std::string buffer;
  std::map<char32_t, int64_t> counts;
  for_each_code_point(word_text(raw, buffer), [&](char32_t value, size_t) {
    if (vocabulary_.find_character(value) < 0) ++counts[value];
  });
  std::vector<Dropped> list;
  for (const auto& [value, count] : counts) list.push_back({to_utf8(value), count});
  return list;
}

std::string WordTokenizer::token_bytes(int32_t id) const {
  check_id(id);
  return vocabulary_.text(id);
}

std::string WordTokenizer::bytes_after(std::span<const int32_t> before, int32_t id) const {
  check_id(id);
  // What stands before a word, number or sign that is no quote does not matter.
  size_t begin = before.size();
  while (begin > 0) {
    const int32_t token = before[--begin];
    if (token < 0 || token >= vocab_size()) {  // a row that the model has beyond the vocabulary
      ++begin;
      break;
    }
    if (!vocabulary_.is_marker(token) && vocabulary_.spacing(token) != Spacing::kQuote) break;
  }
  WordDecoder decoder(vocabulary_);
  std::string text;
  for (const int32_t token : before.subspan(begin)) decoder.add(token, text);
  text.clear();
  decoder.add(id, text);
  return text;
}

std::string WordTokenizer::decode(std::span<const int32_t> ids) const {
  WordDecoder decoder(vocabulary_);
  std::string text;
  for (const int32_t id : ids) {
    check_id(id);
    decoder.add(id, text);
  }
  return text;
}

bool WordTokenizer::is_known_word(std::string_view text) const {
  if (text.empty()) return false;
  std::string buffer;
  if (!is_valid_utf8(text) || normal_form(text, NormalForm::kC, buffer) != text) return false;
  const Lexeme lexeme = next_lexeme(text, 0);
  if (lexeme.kind != LexKind::kWord || lexeme.size != text.size()) return false;
  std::vector<int32_t> ids;
  WordEncoder(vocabulary_, Spacing::kBlank, ids).encode(text);
  if (ids.empty() || vocabulary_.spacing(ids.back()) != Spacing::kWord) return false;
  return vocabulary_.text(ids.back()).size() == text.size();
}

/// What follows a line end, or goes on with one space after a word that has a token, is encoded
/// alike whatever stands before.
bool WordTokenizer::is_cut(std::string_view text, size_t at) const {
  const char before = text[at - 1], next = text[at];
  const bool plain = static_cast<unsigned char>(next) < 0x80;
  if (before == '\n') return plain && next != '\n' && next != ' ' && next != '\r';
  if (next != ' ' || before == ' ' || at + 1 == text.size() || text[at + 1] == ' ') return false;
  size_t begin = at;
  while (begin > 0 && at - begin <= WordVocabulary::kMaxWord && text[begin - 1] != ' ' &&
         text[begin - 1] != '\n') {
    --begin;
  }
  return is_known_word(text.substr(begin, at - begin));
}

size_t WordTokenizer::cut_at(std::string_view text, size_t limit) const {
  if (limit >= text.size()) return text.size();
  for (size_t at = limit; at > 0; --at) {
    if (is_cut(text, at)) return at;
  }
  for (size_t at = limit + 1; at < text.size(); ++at) {
    if (is_cut(text, at)) return at;
  }
  return text.size();
}

bool WordTokenizer::is_character(int32_t id) const {
  check_id(id);
  return !is_added(id) && vocabulary_.find_word(vocabulary_.text(id)) != id;
}

std::vector<int32_t> WordTokenizer::spelling(int32_t id) const {
  check_id(id);
  std::vector<int32_t> ids;
  for_each_code_point(vocabulary_.text(id), [&](char32_t value, size_t) {
    ids.push_back(vocabulary_.find_character(value));  // words have no other characters
  });
  return ids;
}

bool WordTokenizer::extends(const WordTokenizer& old) const {
  if (controls_ != old.controls_ || vocab_size() < old.vocab_size()) return false;
  for (int32_t id = 0; id < old.vocab_size(); ++id) {
    const bool same = vocabulary_.text(id) == old.vocabulary_.text(id) &&
                      vocabulary_.spacing(id) == old.vocabulary_.spacing(id);
    if (!same) return false;
  }
  return vocabulary_.options().space == old.vocabulary_.options().space;
}

}  // namespace adder::text
