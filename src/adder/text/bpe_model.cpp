#include "adder/text/bpe_model.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <queue>
#include <random>

#include "adder/base/error.h"
#include "adder/text/byte_level.h"
#include "adder/text/hf_json.h"
#include "adder/text/normalizer.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

constexpr size_t kShort = 48;  // symbols; below it a scan beats a heap

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

// Seeded, so that no file can put its merges into one place.
size_t slot_of(uint64_t pair) {
  static const uint64_t seed = uint64_t{std::random_device()()} << 32 | std::random_device()();
  return static_cast<size_t>(XXH3_64bits_withSeed(&pair, sizeof pair, seed));
}

/// The two texts of a merge: "a b", or ["a", "b"].
std::optional<std::pair<std::string_view, std::string_view>> parts_of(const io::Json& merge) {
  const auto text_of = [](const io::Json& value) {
    return std::string_view(value.get_ref<const std::string&>());
  };
  if (merge.is_array()) {
    if (merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string()) return std::nullopt;
    return std::pair(text_of(merge[0]), text_of(merge[1]));
  }
  if (!merge.is_string()) return std::nullopt;
  const std::string_view text = text_of(merge);
  const size_t space = text.find(' ');
  if (space == text.npos || text.find(' ', space + 1) != text.npos) return std::nullopt;
  return std::pair(text.substr(0, space), text.substr(space + 1));
}

}  // namespace

BpeModel::BpeModel(const io::JsonView& model, bool byte_level) : byte_level_(byte_level) {
  read_options(model);
  read_vocabulary(model);
  read_merges(model);
  if (const auto unk = model.find("unk_token")) {
    unk_ = id_of(unk->as_string());
    if (!unk_) unk->fail("a token of the vocabulary");
  }
  bool all = true;
  for (size_t byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = id_of(byte_level_symbol(static_cast<uint8_t>(byte))).value_or(kNone);
    fall_back_ids_[byte] = id_of(fmt::format("<0x{:02X}>", byte)).value_or(kNone);
    all = all && byte_ids_[byte] != kNone;
  }
  if (byte_level && byte_fallback_ && !all) {
    throw_unknown_part(model.at("byte_fallback"), "byte_fallback beside ByteLevel");
  }
}

void BpeModel::read_options(const io::JsonView& model) {
  for (const char* option : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    const auto mark = model.find(option);
    if (mark && !mark->as_string().empty()) throw_unknown_part(*mark, "it is not empty");
  }
  if (model.number("dropout", 0) != 0) throw_unknown_part(model.at("dropout"), "it is not zero");
  fuse_unk_ = model.boolean("fuse_unk", false);
  byte_fallback_ = model.boolean("byte_fallback", false);
  ignore_merges_ = model.boolean("ignore_merges", false);
}

void BpeModel::read_vocabulary(const io::JsonView& model) {
  auto pairs = text::read_vocabulary(model);
  const size_t most = 2 * pairs.size() + 4096;
  ids_.reserve(pairs.size());
  for (auto& [token, id] : pairs) {
    const auto at = static_cast<size_t>(id);
    if (at >= most) {
      model.at("vocab").fail(fmt::format("ids nearly without gaps (\"{}\" has {} of {} tokens)",
                                         token, id, pairs.size()));
    }
    if (at >= tokens_.size()) tokens_.resize(at + 1);
    tokens_[at] = token;
    if (byte_level_ && ignore_merges_) {
      if (auto bytes = byte_level_bytes(token)) words_.emplace(std::move(*bytes), id);
    }
    ids_.emplace(std::move(token), id);
  }
}

void BpeModel::read_merges(const io::JsonView& model) {
  const io::JsonView list = model.at("merges");
  if (!list.json().is_array()) list.fail("an array of merges");
  const size_t count = list.json().size();
  if (count > static_cast<size_t>(INT32_MAX)) list.fail("fewer than 2^31 merges");
  merges_.resize(std::bit_ceil(2 * count + 2));
  mask_ = merges_.size() - 1;
  int32_t rank = 0;
  std::string joined;
  for (const auto& value : list.json()) {
    const auto fail = [&](const char* expected) {
      io::JsonView(value, list.name(), fmt::format("[{}]", rank)).fail(expected);
    };
    const auto parts = parts_of(value);
    if (!parts) fail("two token texts, \"a b\" or [\"a\", \"b\"]");
    joined.assign(parts->first).append(parts->second);
    const auto left_id = id_of(parts->first), right_id = id_of(parts->second), id = id_of(joined);
    if (!left_id || !right_id || !id) {
      fail("tokens of the vocabulary, whose joined text is one too");
    }
    set_merge(*left_id, *right_id, rank++, *id);
  }
}

void BpeModel::set_merge(int32_t left, int32_t right, int32_t rank, int32_t id) {
  const uint64_t pair = pair_key(left, right);
  size_t at = slot_of(pair) & mask_;
  while (merges_[at].pair != kNoPair && merges_[at].pair != pair) at = (at + 1) & mask_;
  merges_[at] = {pair, rank, id};  // a pair that stands twice counts at its last place
}

const BpeModel::Merge* BpeModel::merge_of(int32_t left, int32_t right) const {
  const uint64_t pair = pair_key(left, right);
  for (size_t at = slot_of(pair) & mask_;; at = (at + 1) & mask_) {
    if (merges_[at].pair == pair) return &merges_[at];
    if (merges_[at].pair == kNoPair) return nullptr;
  }
}

std::optional<int32_t> BpeModel::id_of(std::string_view token) const {
  const auto found = ids_.find(token);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

bool BpeModel::cuts_before(std::string_view mark) const {
  if (!id_of(mark)) return false;
  for (const Merge& merge : merges_) {
    if (merge.pair == kNoPair) continue;
    const std::string& token = tokens_[static_cast<size_t>(merge.id)];
    size_t at = 0;
    while (std::string_view(token).substr(at).starts_with(mark)) at += mark.size();
    if (token.find(mark, at) != std::string::npos) return false;
  }
  return true;
}

void BpeModel::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    const Ids& whole = byte_level_ ? words_ : ids_;
    if (const auto found = whole.find(word); found != whole.end()) {
      ids.push_back(found->second);
      return;
    }
  }
  const size_t begin = ids.size();
  first_symbols(word, ids);
  if (ids.size() - begin <= kShort) {
    merge_short(ids, begin);
  } else {
    merge_long(ids, begin);
  }
}

bool BpeModel::fall_back(std::string_view character, std::vector<int32_t>& out) const {
  if (!byte_fallback_) return false;
  const size_t begin = out.size();
  for (const char byte : character) {
    out.push_back(fall_back_ids_[static_cast<unsigned char>(byte)]);
    if (out.back() == kNone) {
      out.resize(begin);
      return false;
    }
  }
  return true;
}

// As the reference library: an unknown character waits for what follows it, bytes go before it.
void BpeModel::first_symbols(std::string_view word, std::vector<int32_t>& out) const {
  bool waiting = false;
  for (size_t at = 0; at < word.size();) {
    const int length = byte_level_ ? 1 : read_utf8(word, at).length;
    const std::string_view character = word.substr(at, static_cast<size_t>(length));
    const int32_t id = byte_level_ ? byte_ids_[static_cast<unsigned char>(word[at])]
                                   : id_of(character).value_or(kNone);
    at += character.size();
    if (id != kNone) {
      if (waiting) out.push_back(*unk_);
      waiting = false;
      out.push_back(id);
    } else if (!fall_back(character, out)) {
      if (!unk_) {
        throw Error(
            ErrorKind::kUsage,
            {.what = fmt::format(
                 "the tokenizer cannot write {}",
                 byte_level_ ? fmt::format("the byte {:#04x}", static_cast<uint8_t>(character[0]))
                             : name_of(read_utf8(character, 0).value)),
             .why = "its vocabulary lacks it and has no token for the unknown"});
      }
      if (waiting && !fuse_unk_) out.push_back(*unk_);
      waiting = true;
    }
  }
  if (waiting) out.push_back(*unk_);
}

void BpeModel::merge_short(std::vector<int32_t>& ids, size_t begin) const {
  std::array<const Merge*, kShort> next;  // the merge of each symbol with the one after it
  int32_t* symbols = ids.data() + begin;
  size_t count = ids.size() - begin;
  for (size_t i = 0; i + 1 < count; ++i) next[i] = merge_of(symbols[i], symbols[i + 1]);
  while (count > 1) {
    size_t best = count;
    for (size_t i = 0; i + 1 < count; ++i) {
      if (next[i] != nullptr && (best == count || next[i]->rank < next[best]->rank)) best = i;
    }
    if (best == count) break;
    symbols[best] = next[best]->id;
    --count;
    for (size_t i = best + 1; i < count; ++i) {
      symbols[i] = symbols[i + 1];
      if (i + 1 < count) next[i] = next[i + 1];
    }
    if (best + 1 < count) next[best] = merge_of(symbols[best], symbols[best + 1]);
    if (best > 0) next[best - 1] = merge_of(symbols[best - 1], symbols[best]);
  }
  ids.resize(begin + count);
}

void BpeModel::merge_long(std::vector<int32_t>& ids, size_t begin) const {
  struct Symbol {
    int32_t id;  // kNone: it went into the one before it
    int64_t previous, next;
  };
  struct Candidate {
    int32_t rank, id;
    int64_t at;
    bool operator<(const Candidate& other) const {  // the first of a heap is the largest
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const auto count = static_cast<int64_t>(ids.size() - begin);
  std::vector<Symbol> symbols(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t next = i + 1 < count ? i + 1 : -1;
    symbols[static_cast<size_t>(i)] = {ids[begin + static_cast<size_t>(i)], i - 1, next};
  }
  const auto at = [&](int64_t i) -> Symbol& { return symbols[static_cast<size_t>(i)]; };
  std::priority_queue<Candidate> heap;
  const auto offer = [&](int64_t i) {
    if (i < 0 || at(i).next < 0) return;
    const Merge* merge = merge_of(at(i).id, at(at(i).next).id);
    if (merge != nullptr) heap.push({merge->rank, merge->id, i});
  };
  for (int64_t i = 0; i < count; ++i) offer(i);
  while (!heap.empty()) {
    const Candidate best = heap.top();
    heap.pop();
    Symbol& left = at(best.at);
    if (left.id == kNone || left.next < 0) continue;
    Symbol& right = at(left.next);
    const Merge* merge = merge_of(left.id, right.id);
    if (merge == nullptr || merge->id != best.id) continue;  // its parts have changed since
    left.id = best.id;
    right.id = kNone;
    left.next = right.next;
    if (left.next >= 0) at(left.next).previous = best.at;
    offer(left.previous);
    offer(best.at);
  }
  ids.resize(begin);
  for (const Symbol& symbol : symbols) {
    if (symbol.id != kNone) ids.push_back(symbol.id);
  }
}

}  // namespace adder::text
