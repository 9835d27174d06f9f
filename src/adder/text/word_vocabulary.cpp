#include "adder/text/word_vocabulary.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "adder/base/error.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"
#include "adder/text/utf8.h"
#include "adder/text/word_lexer.h"

namespace adder::text {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& where, const char* why = "") {
  throw Error(ErrorKind::kFormat, {.what = what, .where = where, .why = why});
}

/// What a lexer makes one token of that is not a single other character.
bool is_word(const std::string& text) {
  if (text == "\n\n") return true;
  if (text.empty() || !is_valid_utf8(text)) return false;
  const Lexeme first = next_lexeme(text, 0);
  const bool kind = first.kind == LexKind::kWord || first.kind == LexKind::kNumber;
  return kind && first.size == text.size();
}

}  // namespace

WordVocabulary::WordVocabulary(WordOptions options, std::vector<std::string> specials,
                               std::vector<WordBlock> blocks)
    : options_(std::move(options)), specials_(std::move(specials)), blocks_(std::move(blocks)) {
  table_.fill(-1);
  auto names = controls();
  for (size_t i = 0; i < names.size(); ++i) add({}, Spacing::kBlank);
  std::ranges::sort(names);
  const auto twice = std::ranges::adjacent_find(names);
  if (twice != names.end()) refuse("a control token stands twice in the vocabulary", *twice);
  for (const WordBlock& block : blocks_) {
    for (const char32_t value : block.characters) add_character(value);
    for (const std::string& word : block.words) add_word(word);
  }
  for (const char32_t value : {U' ', U'\n'}) {
    if (find_character(value) < 0) {
      refuse("a character is missing in the vocabulary", name_of(value),
             "every word vocabulary has the space and the line end");
    }
  }
}

std::vector<std::string> WordVocabulary::fixed_controls(const WordOptions& options) {
  std::vector<std::string> names = {"<pad>", "<bos>", "<eos>", "<join>"};
  if (options.fold_case) names.insert(names.end(), {"<capital>", "<upper>"});
  return names;
}

std::vector<std::string> WordVocabulary::controls() const {
  auto names = fixed_controls(options_);
  names.insert(names.end(), specials_.begin(), specials_.end());
  return names;
}

void WordVocabulary::add(std::string text, Spacing spacing) {
  if (size() == kMaxTokens) {
    refuse("the vocabulary has too many tokens", fmt::format("more than {}", kMaxTokens));
  }
  texts_.push_back(std::move(text));
  spacings_.push_back(spacing);
}

void WordVocabulary::add_character(char32_t value) {
  if (find_character(value) >= 0) {
    refuse("a character stands twice in the vocabulary", name_of(value));
  }
  const auto id = static_cast<int32_t>(size());
  add(to_utf8(value), word_character(value).spacing);
  if (value < kTable) {
    table_[value] = id;
  } else {
    others_.emplace(value, id);
  }
}

void WordVocabulary::add_word(const std::string& word) {
  if (word.size() > kMaxWord || !is_word(word)) {
    refuse("an entry of the vocabulary is no word", fmt::format("\"{}\"", word.substr(0, 200)),
           "a word is letters, with digits, apostrophes and hyphens in it, or digits alone");
  }
  if (find_word(word) >= 0) refuse("a word stands twice in the vocabulary", word);
  for_each_code_point(word, [&](char32_t value, size_t) {
    if (find_character(value) < 0) {
      refuse("a word is written with a character that the vocabulary lacks", word);
    }
  });
  words_.push_back(static_cast<int32_t>(size()));
  add(word, word[0] == '\n' ? Spacing::kBlank : Spacing::kWord);
  if (2 * words_.size() > slots_.size()) return grow_slots();
  slots_[slot_of(word)] = words_.back();
}

/// Half of the slots at least are free, so that every search ends soon.
void WordVocabulary::grow_slots() {
  slots_.assign(std::max<size_t>(64, 2 * slots_.size()), -1);
  for (const int32_t id : words_) slots_[slot_of(text(id))] = id;
}

/// Where `word` is, or where it would go.
size_t WordVocabulary::slot_of(std::string_view word) const {
  const size_t mask = slots_.size() - 1;
  size_t slot = XXH3_64bits(word.data(), word.size()) & mask;
  while (slots_[slot] >= 0 && text(slots_[slot]) != word) slot = (slot + 1) & mask;
  return slot;
}

int32_t WordVocabulary::find_word(std::string_view word) const {
  if (slots_.empty() || word.size() > kMaxWord) return -1;
  return slots_[slot_of(word)];
}

std::string WordVocabulary::hash() const {
  io::Hash128 hash;
  const auto mix = [&](std::string_view text) {
    hash.add(io::as_bytes(fmt::format("{} ", text.size())));
    hash.add(io::as_bytes(text));
  };
  mix(options_.space);
  for (const std::string& name : controls()) mix(name);
  mix("");
  for (const WordBlock& block : blocks_) {
    for (const char32_t value : block.characters) mix(to_utf8(value));
    mix("");
    for (const std::string& word : block.words) mix(word);
    mix("");
  }
  return hash.hex();
}

}  // namespace adder::text
