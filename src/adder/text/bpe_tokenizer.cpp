#include "adder/text/bpe_tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_set>

#include "adder/base/error.h"
#include "adder/text/hf_json.h"
#include "adder/text/post_processor.h"
#include "adder/text/unicode.h"
#include "adder/text/utf8.h"
#include "adder/text/word_cache.h"

namespace adder::text {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581, which stands for a space

/// The end of a text by its usual names, the likeliest first.
constexpr const char* kEosNames[] = {"<|endoftext|>", "<|end_of_text|>", "</s>",
                                     "<eos>",         "<|eot_id|>",      "<|im_end|>"};

/// The letter that ends at `at` > 0, if one does.
std::optional<char32_t> letter_before(std::string_view text, size_t at) {
  const Utf8Step last = read_utf8(text, code_point_boundary(text, at - 1));
  if (!last.valid || class_of(last.value) != CharClass::kLetter) return std::nullopt;
  return last.value;
}

/// Full stops and commas of Chinese and Japanese, which puts no spaces between words.
bool begins_with_stop(std::string_view text) {
  for (const std::string_view stop : {"\u3002", "\u3001", "\uFF0C"}) {
    if (text.starts_with(stop)) return true;
  }
  return false;
}

}  // namespace

struct BpeTokenizer::Scratch {
  WordCache cache;
  std::string normalized;
};

BpeTokenizer::BpeTokenizer(const io::JsonView& root, std::string source)
    : source_(std::move(source)) {
  if (const auto part = root.find("normalizer")) normalizer_ = Normalizer::from_json(*part);
  if (const auto part = root.find("pre_tokenizer")) {
    pre_tokenizer_ = PreTokenizer::from_json(*part);
  }
  if (const auto part = root.find("decoder")) decoder_ = TokenDecoder::from_json(*part);
  const io::JsonView model = root.at("model");
  model_.emplace(model, pre_tokenizer_.byte_level());
  merges_ = static_cast<int64_t>(model.at("merges").json().size());
  added_ = added_normalized_ = read_added_tokens(root);

  std::vector<const AddedToken*> plain, normalized;
  std::string buffer;
  for (size_t i = 0; i < added_.size(); ++i) {
    if (!added_[i].normalized) {
      plain.push_back(&added_[i]);
      continue;
    }
    added_normalized_[i].content = normalizer_.apply(added_[i].content, buffer);
    normalized.push_back(&added_normalized_[i]);
  }
  in_text_ = AddedTokenFinder(std::move(plain));
  in_normalized_ = AddedTokenFinder(std::move(normalized));
  make_texts();
  read_special_ids(root);
  cut_words_before_mark_ = !pre_tokenizer_.byte_level() && model_->cuts_before(kMark);
  cuts_ = find_cuts();
}

BpeTokenizer::~BpeTokenizer() = default;

void BpeTokenizer::make_texts() {
  std::vector<std::string> texts = model_->tokens();
  std::vector<bool> control(texts.size());
  const size_t most = 2 * (texts.size() + added_.size()) + 4096;
  for (const AddedToken& token : added_) {
    const auto id = static_cast<size_t>(token.id);
    const auto known = model_->id_of(token.content);
    const bool taken = id < model_->tokens().size() && !model_->tokens()[id].empty();
    if (known ? *known != token.id : taken || id >= most) {
      throw Error(ErrorKind::kFormat,
                  {.what = fmt::format("the added token \"{}\" has the id {}", token.content, id),
                   .where = "added_tokens",
                   .why = "the model's vocabulary says otherwise"});
    }
    if (id >= texts.size()) texts.resize(id + 1);
    if (id >= control.size()) control.resize(id + 1);
    texts[id] = token.content;
    control[id] = token.special;
  }
  offsets_.assign(1, 0);
  for (size_t id = 0; id < texts.size(); ++id) {
    if (!control[id] && !texts[id].empty()) bytes_ += decoder_.bytes(texts[id]);
    offsets_.push_back(bytes_.size());
  }
}

void BpeTokenizer::read_special_ids(const io::JsonView& root) {
  for (const char* name : kEosNames) {
    const auto found = std::ranges::find(added_, name, &AddedToken::content);
    if (found == added_.end() || !found->special) continue;
    eos_ = found->id;
    break;
  }
  const auto ending = std::ranges::find(added_, true, &AddedToken::ends_text);
  if (ending != added_.end()) eos_ = ending->id;
  if (const auto part = root.find("post_processor")) bos_ = read_bos(*part, vocab_size());
}

bool BpeTokenizer::set_eos(std::string_view token) {
  const auto id = id_of(token);
  if (id) eos_ = id;
  return id.has_value();
}

std::optional<int32_t> BpeTokenizer::id_of(std::string_view token) const {
  const auto found = std::ranges::find(added_, token, &AddedToken::content);
  if (found != added_.end()) return found->id;
  return model_->id_of(token);
}

bool BpeTokenizer::is_added(int32_t id) const {
  return std::ranges::find(added_, id, &AddedToken::id) != added_.end();
}

std::vector<int32_t> BpeTokenizer::encode(std::string_view text) const {
  return encode(text, EncodeOptions());
}

AddedTokenFinder::IsPlain BpeTokenizer::plain_tokens(const EncodeOptions& options) const {
  std::unordered_set<int32_t> named;
  for (const AddedToken& token : added_) {
    const auto holds = [&](const std::string& text) {
      return !token.content.empty() && text.find(token.content) != text.npos;
    };
    if (std::ranges::any_of(options.plain_in, holds)) named.insert(token.id);
  }
  const bool as_text = options.specials == Specials::kAsText;
  return [as_text, named = std::move(named)](const AddedToken& token) {
    return (as_text && token.special) || named.contains(token.id);
  };
}

std::vector<int32_t> BpeTokenizer::encode(std::string_view text,
                                          const EncodeOptions& options) const {
  if (const size_t valid = valid_utf8_prefix(text); valid < text.size()) {
    throw_ill_formed(text, valid);
  }
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + 8);
  auto scratch = take_scratch();
  const auto is_plain = plain_tokens(options);
  in_text_.split(text, is_plain, [&](std::string_view piece, std::optional<int32_t> id) {
    if (id) return ids.push_back(*id);
    const bool first = piece.data() == text.data();
    encode_plain(piece, first ? options.before : Before::kToken, is_plain, *scratch, ids);
  });
  give_scratch(std::move(scratch));
  return ids;
}

void BpeTokenizer::encode_plain(std::string_view text, Before before,
                                const AddedTokenFinder::IsPlain& is_plain, Scratch& scratch,
                                std::vector<int32_t>& ids) const {
  const std::string_view normalized =
      normalizer_.apply(text, scratch.normalized, before == Before::kText);
  const PreTokenizer::Visit visit = [&](std::string_view word) {
    if (cut_words_before_mark_) return encode_marked(word, scratch, ids);
    encode_word(word, scratch, ids);
  };
  in_normalized_.split(normalized, is_plain,
                       [&](std::string_view piece, std::optional<int32_t> id) {
                         if (id) return ids.push_back(*id);
                         const bool first = piece.data() == normalized.data();
                         pre_tokenizer_.split(piece, first ? before : Before::kToken, visit);
                       });
}

void BpeTokenizer::encode_word(std::string_view word, Scratch& scratch,
                               std::vector<int32_t>& ids) const {
  if (word.size() > WordCache::kMaxWord) return model_->encode(word, ids);
  const auto key = WordCache::key_of(word);
  WordCache::Slot& slot = scratch.cache.slot_of(key);
  if (slot.key == key) return WordCache::append(slot, ids);
  const size_t begin = ids.size();
  model_->encode(word, ids);
  WordCache::put(slot, key, std::span(ids).subspan(begin));
}

// Merges never cross the place before a mark that follows something else: each part goes alone.
void BpeTokenizer::encode_marked(std::string_view word, Scratch& scratch,
                                 std::vector<int32_t>& ids) const {
  for (size_t begin = 0; begin < word.size();) {
    size_t end = begin;
    while (word.substr(end).starts_with(kMark)) end += kMark.size();
    end = std::min(word.find(kMark, end), word.size());
    encode_word(word.substr(begin, end - begin), scratch, ids);
    begin = end;
  }
}

std::unique_ptr<BpeTokenizer::Scratch> BpeTokenizer::take_scratch() const {
  {
    const std::lock_guard lock(scratch_lock_);
    if (!scratch_.empty()) {
      auto scratch = std::move(scratch_.back());
      scratch_.pop_back();
      return scratch;
    }
  }
  return std::make_unique<Scratch>();
}

void BpeTokenizer::give_scratch(std::unique_ptr<Scratch> scratch) const {
  constexpr size_t kKept = size_t{4} << 20;  // bytes: a huge text leaves no huge buffer behind
  if (scratch->normalized.capacity() > kKept) scratch->normalized = {};
  const std::lock_guard lock(scratch_lock_);
  scratch_.push_back(std::move(scratch));
}

std::string BpeTokenizer::token_bytes(int32_t id) const {
  check_id(id);
  const auto at = static_cast<size_t>(id);
  return bytes_.substr(offsets_[at], offsets_[at + 1] - offsets_[at]);
}

std::string BpeTokenizer::decode(std::span<const int32_t> ids) const {
  std::string text = Tokenizer::decode(ids);
  const TokenDecoder::Strip& strip = decoder_.strip();
  size_t begin = 0;
  for (int64_t i = 0; i < strip.count; ++i) {
    if (!std::string_view(text).substr(begin).starts_with(strip.character)) break;
    begin += strip.character.size();
  }
  return text.substr(begin);
}

// Between a letter and a space the word before ends and the word after begins whatever stands
// farther away, if the pattern is a known one or each space becomes a mark that no merge reaches
// over, and no added token lies across or looks across.
BpeTokenizer::Cuts BpeTokenizer::find_cuts() const {
  Cuts cuts = Cuts::kNever;
  if (pre_tokenizer_.cuts_before_space() && normalizer_.keeps_ascii()) cuts = Cuts::kKnownPattern;
  const bool marks = pre_tokenizer_.empty()
                         ? normalizer_.only_marks_spaces(kMark)
                         : normalizer_.empty() && pre_tokenizer_.only_marks_spaces(kMark);
  if (marks && cut_words_before_mark_) cuts = Cuts::kMarks;
  for (const auto* tokens : {&added_, &added_normalized_}) {
    for (const AddedToken& token : *tokens) {
      const std::string& content = token.content;
      if (content.empty()) continue;
      const bool ends_so = letter_before(content, content.size()).has_value();
      const bool begins_so = is_cut("a" + content, 1, cuts);
      // What follows a token may get a space of its own, so a cut must not stand after one.
      if ((ends_so && (token.rstrip || cuts == Cuts::kMarks)) || (token.single_word && begins_so)) {
        return Cuts::kNever;
      }
      for (size_t at = 1; at < content.size(); ++at) {
        if (is_cut(content, at, cuts)) return Cuts::kNever;
      }
    }
  }
  return cuts;
}

bool BpeTokenizer::is_cut(std::string_view text, size_t at, Cuts cuts) const {
  const char next = text[at];
  const bool space = next == ' ';
  const bool other = cuts == Cuts::kKnownPattern && !pre_tokenizer_.adds_space() &&
                     (next == '\n' || begins_with_stop(text.substr(at)));
  if (!space && !other) return false;
  const auto letter = letter_before(text, at);
  // A few letters become a letter and a mark, which newlines join.
  return letter && (*letter < 0x80 || normalizer_.empty() || cuts == Cuts::kMarks ||
                    is_inert_in_nfc(*letter));
}

size_t BpeTokenizer::cut_at(std::string_view text, size_t limit) const {
  if (cuts_ == Cuts::kNever || limit >= text.size()) return text.size();
  for (size_t at = limit; at > 0; --at) {
    if (is_cut(text, at, cuts_)) return at;
  }
  for (size_t at = limit + 1; at < text.size(); ++at) {
    if (is_cut(text, at, cuts_)) return at;
  }
  return text.size();
}

std::string BpeTokenizer::to_json() const {
  io::Json content = io::parse_json(source_, "tokenizer.json", kTokenizerFileLimits);
  for (const char* part : {"truncation", "padding"}) content[part] = nullptr;
  io::Json& added = content["added_tokens"];
  bool listed = !eos_;
  for (io::Json& token : added) {
    token.erase(kEosRole);
    if (!eos_ || token["id"] != *eos_) continue;
    token[kEosRole] = listed = true;
  }
  if (!listed) {
    added.push_back(hf_added_token(model_->tokens()[static_cast<size_t>(*eos_)], *eos_));
    added.back()[kEosRole] = true;
  }
  return content.dump(2) + "\n";
}

}  // namespace adder::text
