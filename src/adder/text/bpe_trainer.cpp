#include "adder/text/bpe_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <queue>
#include <string>
#include <unordered_map>
#include <vector>

#include "adder/base/error.h"
#include "adder/io/json.h"
#include "adder/text/byte_level.h"
#include "adder/text/hf_json.h"
#include "adder/text/utf8.h"
#include "adder/text/word_scanner.h"

namespace adder::text {
namespace {

constexpr const char* kEndOfText = "<|endoftext|>";
constexpr int64_t kLeast = 257, kMost = int64_t{1} << 24;
constexpr size_t kMaxWaiting = size_t{1} << 20;  // bytes of words that may still grow

using Pair = uint64_t;  // left id << 32 | right id: pairs compare as the ids do
Pair pair_of(int32_t left, int32_t right) {
  return static_cast<Pair>(left) << 32 | static_cast<Pair>(right);
}

struct Word {
  std::vector<int32_t> symbols;
  int64_t count = 0;
};

/// Occurrences of a pair, as counted when it was put into the queue.
struct Candidate {
  int64_t count = 0;
  Pair pair = 0;
  std::vector<uint32_t> words;  // that hold it, ascending
  bool operator<(const Candidate& other) const {
    return count != other.count ? count < other.count : pair > other.pair;
  }
};

/// The merging of one training run.
class Learner {
 public:
  Learner(std::vector<Word> words, std::vector<std::string> tokens)
      : words_(std::move(words)), tokens_(std::move(tokens)) {
    for (size_t i = 0; i < tokens_.size(); ++i) ids_.emplace(tokens_[i], i);
    for (uint32_t word = 0; word < words_.size(); ++word) {
      const auto& symbols = words_[word].symbols;
      for (size_t i = 0; i + 1 < symbols.size(); ++i) {
        change(pair_of(symbols[i], symbols[i + 1]), words_[word].count, word);
      }
    }
    push_grown();
  }

  /// Merges the most frequent pair; false when none is seen `min_count` times.
  bool step(int64_t min_count) {
    while (!queue_.empty()) {
      Candidate best = queue_.top();
      queue_.pop();
      const int64_t now = counts_[best.pair];
      if (best.count != now) {  // later merges took some of its places
        best.count = now;
        queue_.push(std::move(best));
        continue;
      }
      if (best.count < min_count) return false;
      merge(best);
      return true;
    }
    return false;
  }

  const std::vector<std::string>& tokens() const { return tokens_; }
  const std::vector<Pair>& merges() const { return merges_; }

 private:
  void change(Pair pair, int64_t by, uint32_t word) {
    counts_[pair] += by;
    if (by <= 0) return;
    auto& words = grown_[pair];
    if (words.empty() || words.back() != word) words.push_back(word);
  }

  void push_grown() {
    for (auto& [pair, words] : grown_) {
      const int64_t count = counts_[pair];
      if (count > 0) queue_.push({count, pair, std::move(words)});
    }
    grown_.clear();
  }

  void merge(const Candidate& best) {
    const auto left = static_cast<int32_t>(best.pair >> 32);
    const auto right = static_cast<int32_t>(best.pair & 0xFFFFFFFF);
    std::string text = tokens_[static_cast<size_t>(left)] + tokens_[static_cast<size_t>(right)];
    const auto [found, is_new] = ids_.emplace(text, tokens_.size());
    if (is_new) tokens_.push_back(std::move(text));
    merges_.push_back(best.pair);
    for (const uint32_t word : best.words) {
      merge_in(word, left, right, static_cast<int32_t>(found->second));
    }
    push_grown();
  }

  void merge_in(uint32_t index, int32_t left, int32_t right, int32_t joined) {
    auto& symbols = words_[index].symbols;
    const int64_t count = words_[index].count;
    size_t kept = 0;
    for (size_t i = 0; i < symbols.size(); ++i) {
      if (symbols[i] != left || i + 1 == symbols.size() || symbols[i + 1] != right) {
        symbols[kept++] = symbols[i];
        continue;
      }
      if (kept > 0) {
        change(pair_of(symbols[kept - 1], left), -count, index);
        change(pair_of(symbols[kept - 1], joined), count, index);
      }
      ++i;
      if (i + 1 < symbols.size()) {
        change(pair_of(right, symbols[i + 1]), -count, index);
        change(pair_of(joined, symbols[i + 1]), count, index);
      }
      symbols[kept++] = joined;
    }
    symbols.resize(kept);
  }

  std::vector<Word> words_;
  std::vector<std::string> tokens_;  // in the byte-level alphabet
  std::unordered_map<std::string, size_t> ids_;
  std::vector<Pair> merges_;
  std::unordered_map<Pair, int64_t> counts_;
  std::unordered_map<Pair, std::vector<uint32_t>> grown_;  // pairs that the last merge made
  std::priority_queue<Candidate> queue_;
};

std::unique_ptr<Tokenizer> to_tokenizer(const Learner& learner, size_t controls) {
  const auto& tokens = learner.tokens();
  ControlTokens control_tokens;
  for (size_t id = 0; id < controls; ++id) {
    control_tokens.emplace_back(tokens[id], static_cast<int32_t>(id));
  }
  io::Json vocab = io::Json::object(), merges = io::Json::array();
  auto& pairs = vocab.get_ref<io::Json::object_t&>();  // appended as they are: all are distinct
  for (size_t id = 0; id < tokens.size(); ++id) pairs.push_back({tokens[id], io::Json(id)});
  for (const Pair pair : learner.merges()) {
    merges.push_back(io::Json::array({tokens[pair >> 32], tokens[pair & 0xFFFFFFFF]}));
  }
  io::Json root =
      hf_byte_level_bpe(control_tokens, /*use_regex=*/true, std::move(vocab), std::move(merges));
  root["added_tokens"][0][kEosRole] = true;
  return parse_tokenizer(root.dump(), "the trained tokenizer");
}

}  // namespace

struct BpeTrainer::Counts {
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> words;

  void add(std::string_view word) {
    const auto found = words.find(word);
    if (found != words.end()) {
      ++found->second;
    } else {
      words.emplace(word, 1);
    }
  }
};

BpeTrainer::BpeTrainer(BpeTrainerOptions options)
    : options_(std::move(options)), counts_(std::make_unique<Counts>()) {
  const int64_t least = kLeast + static_cast<int64_t>(options_.specials.size());
  if (options_.vocab_size < least || options_.vocab_size > kMost) {
    throw Error(
        ErrorKind::kUsage,
        {.what = fmt::format("a byte-level vocabulary cannot have {} tokens", options_.vocab_size),
         .why = fmt::format("256 bytes and the control tokens alone are {}; the most is {}", least,
                            kMost)});
  }
  if (options_.min_count < 1) {
    throw Error(ErrorKind::kUsage, {.what = "the least count of a pair must be 1 or more"});
  }
}

BpeTrainer::~BpeTrainer() = default;

void BpeTrainer::add(std::string_view piece, bool last) {
  if (const size_t valid = valid_utf8_prefix(piece); valid < piece.size()) {
    throw_ill_formed(piece, valid);
  }
  rest_ += piece;
  const std::string_view text = rest_;
  const bool all = last || text.size() > kMaxWaiting + piece.size();
  // What follows can change the last two words: "'" and "l" become one before another "l".
  size_t before = 0, begin = 0;  // of the last two words
  for (size_t at = 0; at < text.size(); at = gpt2_word_end(text, at)) {
    if (begin > before) counts_->add(text.substr(before, begin - before));
    before = begin;
    begin = at;
  }
  if (all && begin > before) counts_->add(text.substr(before, begin - before));
  if (all && begin < text.size()) counts_->add(text.substr(begin));
  rest_.erase(0, all ? rest_.size() : before);
}

std::unique_ptr<Tokenizer> BpeTrainer::train() {
  std::vector<char32_t> alphabet;
  for (int byte = 0; byte < 256; ++byte) {
    alphabet.push_back(byte_level_code_point(static_cast<uint8_t>(byte)));
  }
  std::ranges::sort(alphabet);
  std::vector<std::string> tokens = {kEndOfText};
  tokens.insert(tokens.end(), options_.specials.begin(), options_.specials.end());
  const size_t controls = tokens.size();
  std::vector<int32_t> id_of_byte(256);
  for (const char32_t symbol : alphabet) {
    id_of_byte[*byte_level_byte(symbol)] = static_cast<int32_t>(tokens.size());
    tokens.push_back(to_utf8(symbol));
  }
  std::vector<Word> words;
  words.reserve(counts_->words.size());
  for (const auto& [text, count] : counts_->words) {
    Word word{{}, count};
    word.symbols.reserve(text.size());
    for (const char byte : text) word.symbols.push_back(id_of_byte[static_cast<uint8_t>(byte)]);
    words.push_back(std::move(word));
  }
  Learner learner(std::move(words), std::move(tokens));
  auto size = kLeast + static_cast<int64_t>(options_.specials.size());
  while (size < options_.vocab_size && learner.step(options_.min_count)) {
    size = static_cast<int64_t>(learner.tokens().size());
    if (options_.progress) options_.progress(size, options_.vocab_size);
  }
  return to_tokenizer(learner, controls);
}

}  // namespace adder::text
