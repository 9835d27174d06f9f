#include "adder/text/word_counter.h"

#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <unordered_map>

#include "adder/base/error.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"
#include "adder/text/unicode.h"
#include "adder/text/utf8.h"
#include "adder/text/word_case.h"
#include "adder/text/word_lexer.h"
#include "adder/text/word_text.h"

namespace adder::text {
namespace {

constexpr size_t kMaxRest = size_t{1} << 20;

struct Seen {
  int64_t count = 0;
  size_t first = 0;  // 0 for the word that appeared first
};

struct HashText {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

using Words = std::unordered_map<std::string, Seen, HashText, std::equal_to<>>;

/// A place to cut a text that goes on: before the last space or line ends that something stands
/// before. 0: none.
size_t last_border(std::string_view text) {
  for (size_t at = text.size(); at-- > 1;) {
    const char before = text[at - 1];
    if (text[at] == ' ' && before != ' ') return at;
    if (text[at] == '\n' && before != '\n' && before != '\r') return at;
  }
  return text.size() < kMaxRest ? 0 : text.size();
}

/// Names a set of documents, whatever their order: the sum of their hashes.
class Fingerprint {
 public:
  void add(std::string_view text, bool last) {
    if (!hash_ && text.empty()) return;  // no document
    if (!hash_) hash_ = std::make_unique<io::Hash128>();
    hash_->add(io::as_bytes(text));
    if (!last) return;
    const std::string hex = hash_->hex();
    for (size_t i = 0; i < 2; ++i) sum_[i] += std::stoull(hex.substr(16 * i, 16), nullptr, 16);
    hash_.reset();
  }
  std::string hex() const { return fmt::format("{:016x}{:016x}", sum_[0], sum_[1]); }

 private:
  std::unique_ptr<io::Hash128> hash_;  // of the document that is begun
  uint64_t sum_[2] = {};
};

/// The words that get a token, in the order of their ids: at most `room` of them.
std::vector<std::string> chosen(const Words& words, const WordOptions& options, int64_t room,
                                const WordVocabulary* old) {
  using Entry = Words::const_pointer;
  std::vector<Entry> entries;
  for (const auto& entry : words) {
    if (entry.second.count < options.min_count) continue;
    if (old == nullptr || old->find_word(entry.first) < 0) entries.push_back(&entry);
  }
  std::ranges::sort(entries, [](Entry a, Entry b) {
    if (a->second.count != b->second.count) return a->second.count > b->second.count;
    return a->first < b->first;
  });
  if (static_cast<int64_t>(entries.size()) > room) entries.resize(static_cast<size_t>(room));
  if (options.order == "appearance") {
    std::ranges::sort(entries, {}, [](Entry entry) { return entry->second.first; });
  }
  std::vector<std::string> texts;
  for (const Entry entry : entries) texts.push_back(entry->first);
  return texts;
}

}  // namespace

struct WordCounter::Counts {
  Words words;
  std::vector<bool> seen = std::vector<bool>(0x110000);  // characters
  Fingerprint corpus;
  std::string rest;  // of the document, not counted yet

  void count(std::string_view text, bool fold);
  /// Those seen, ascending; with `fold` each letter in both cases.
  std::vector<char32_t> characters(bool fold) const;
  void count_word(std::string_view word) {
    const auto found = words.find(word);
    if (found != words.end()) {
      ++found->second.count;
    } else {
      words.emplace(word, Seen{1, words.size()});
    }
  }
};

std::vector<char32_t> WordCounter::Counts::characters(bool fold) const {
  std::vector<bool> wanted = seen;
  std::vector<char32_t> list;
  for (size_t value = 0; value < seen.size(); ++value) {
    if (!fold || !seen[value]) continue;
    const auto lower = utf8proc_tolower(static_cast<utf8proc_int32_t>(value));
    wanted[static_cast<size_t>(lower)] = true;
    wanted[static_cast<size_t>(utf8proc_toupper(lower))] = true;
  }
  for (size_t value = 0; value < wanted.size(); ++value) {
    if (wanted[value]) list.push_back(static_cast<char32_t>(value));
  }
  return list;
}

void WordCounter::Counts::count(std::string_view raw, bool fold) {
  std::string buffer, lower;
  const std::string_view text = word_text(raw, buffer);
  for_each_code_point(text, [&](char32_t value, size_t) { seen[value] = true; });
  for (size_t at = 0; at < text.size();) {
    const Lexeme lexeme = next_lexeme(text, at);
    const std::string_view piece = text.substr(at, lexeme.size);
    at += lexeme.size;
    const bool word = lexeme.kind == LexKind::kWord;
    const bool lines = lexeme.kind == LexKind::kNewline && lexeme.size == 2;
    if ((!word && !lines && lexeme.kind != LexKind::kNumber) ||
        piece.size() > WordVocabulary::kMaxWord) {
      continue;
    }
    const bool folded = fold && word && fold_case(piece, lower);
    const std::string_view counted = folded ? std::string_view(lower) : piece;
    if (counted.size() <= WordVocabulary::kMaxWord) count_word(counted);  // folding may lengthen
  }
}

WordCounter::WordCounter(WordOptions options, std::vector<std::string> specials)
    : options_(std::move(options)),
      specials_(std::move(specials)),
      counts_(std::make_unique<Counts>()) {
  const auto refuse = [](const char* key, int64_t value, const char* next) {
    throw Error(ErrorKind::kConfig, {.what = fmt::format("{} = {} does not fit", key, value),
                                     .where = std::string("data.word.") + key,
                                     .next = next});
  };
  std::erase_if(specials_, [names = WordVocabulary::fixed_controls(options_)](const auto& name) {
    return std::ranges::find(names, name) != names.end();  // a chat template may write "<eos>"
  });
  if (options_.min_count < 1) refuse("min_count", options_.min_count, "give 1 or more");
  if (options_.max_vocab < 0 || options_.max_vocab > WordVocabulary::kMaxTokens) {
    refuse("max_vocab", options_.max_vocab, "give 0 (every word), or up to 16777216");
  }
}

WordCounter::~WordCounter() = default;

void WordCounter::add(std::string_view text, bool last) {
  counts_->corpus.add(text, last);
  std::string& rest = counts_->rest;
  rest += text;
  const size_t size = last ? rest.size() : last_border(rest);
  counts_->count(std::string_view(rest).substr(0, size), options_.fold_case);
  rest.erase(0, size);
}

void WordCounter::cut() {
  add({}, false);
  counts_->corpus.add({}, true);
  counts_->rest.clear();
}

WordVocabulary WordCounter::make() const {
  WordBlock block{.corpus = counts_->corpus.hex()};
  counts_->seen[U' '] = counts_->seen[U'\n'] = true;
  block.characters = counts_->characters(options_.fold_case);
  WordVocabulary without_words(options_, specials_, {block});
  const int64_t limit = options_.max_vocab > 0 ? options_.max_vocab : WordVocabulary::kMaxTokens;
  const int64_t room = limit - without_words.size();
  if (room < 0) {
    throw Error(
        ErrorKind::kConfig,
        {.what = "the vocabulary has no room for the characters of the text",
         .where = "data.word.max_vocab",
         .why = fmt::format("the text needs {} tokens before the first word", without_words.size()),
         .next = "give more, or 0 for every word"});
  }
  block.words = chosen(counts_->words, options_, room, nullptr);
  return WordVocabulary(options_, specials_, {std::move(block)});
}

WordVocabulary WordCounter::extend(const WordVocabulary& old) const {
  WordBlock block{.corpus = counts_->corpus.hex()};
  for (const char32_t value : counts_->characters(options_.fold_case)) {
    if (old.find_character(value) < 0) block.characters.push_back(value);
  }
  const int64_t limit = options_.max_vocab > 0 ? options_.max_vocab : WordVocabulary::kMaxTokens;
  const int64_t taken = old.size() + static_cast<int64_t>(block.characters.size());
  block.words = chosen(counts_->words, options_, std::max<int64_t>(0, limit - taken), &old);
  auto blocks = old.blocks();
  if (!block.characters.empty() || !block.words.empty()) blocks.push_back(std::move(block));
  return WordVocabulary(old.options(), old.specials(), std::move(blocks));
}

}  // namespace adder::text
