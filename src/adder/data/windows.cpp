#include "adder/data/windows.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "adder/base/error.h"
#include "adder/base/rng.h"
#include "adder/data/loader.h"

namespace adder::data {

PackMode parse_pack_mode(std::string_view name) {
  if (name == "packed") return PackMode::kPacked;
  if (name == "docs") return PackMode::kDocs;
  throw Error(ErrorKind::kConfig, {.what = fmt::format("\"{}\" is no way of packing", name),
                                   .next = "use \"packed\" or \"docs\""});
}

Windows::Windows(const ShardSet& shards, const std::vector<TokenRange>& ranges, int64_t length,
                 PackMode mode, int64_t stride)
    : shards_(&shards), length_(length), stride_(stride == 0 ? length : stride), mode_(mode) {
  if (length < 1 || length > INT32_MAX) {
    throw Error(ErrorKind::kConfig, {.what = fmt::format("a window of {} tokens", length),
                                     .why = fmt::format("the length must be 1 to {}", INT32_MAX)});
  }
  if (stride_ < 1 || stride_ > length) {
    throw Error(ErrorKind::kConfig,
                {.what = fmt::format("a stride of {} tokens", stride),
                 .where = "data.stride",
                 .why = fmt::format("it must be 1 to the length, {}, or 0 for that", length)});
  }
  for (const TokenRange range : ranges) {
    if (range.begin < 0 || range.end < range.begin || range.end > shards.size()) {
      throw Error(ErrorKind::kConfig, {.what = fmt::format("tokens [{}, {}) are not in the stream",
                                                           range.begin, range.end),
                                       .why = fmt::format("it has {}", shards.size())});
    }
    if (range.size() == 0) continue;
    ranges_.push_back(range);
    size_ += range.size();
    if (mode == PackMode::kDocs) list_documents(range);
    has_seq_idx_ |= mode == PackMode::kDocs || ranges_.size() > 1 ||
                    shards.document_at(range.begin) != shards.document_at(range.end - 1);
  }
}

void Windows::list_documents(TokenRange range) {
  const int64_t last = shards_->document_at(range.end - 1);
  for (int64_t i = shards_->document_at(range.begin); i <= last; ++i) {
    const TokenRange whole = shards_->document(i);
    const TokenRange part{std::max(whole.begin, range.begin), std::min(whole.end, range.end)};
    if (part.size() < 2) continue;
    documents_.push_back({part, document_windows_});
    const int64_t beyond = std::max<int64_t>(part.size() - 1 - length_, 0);  // the first window
    document_windows_ += 1 + (beyond + stride_ - 1) / stride_;
  }
}

int64_t Windows::phase(uint64_t seed, uint64_t epoch) const {
  if (mode_ == PackMode::kDocs || size_ <= length_) return 0;
  Rng rng(seed, stream_of("data.window_phase") + epoch);
  return rng.below(std::min(stride_, size_ - length_));
}

int64_t Windows::count(int64_t phase) const {
  if (mode_ == PackMode::kDocs) return document_windows_;
  const int64_t beyond = size_ - phase - 1 - length_;  // the first window
  return beyond < 0 ? 0 : 1 + beyond / stride_;
}

std::vector<TokenRange> Windows::window(int64_t index, int64_t phase) const {
  if (mode_ == PackMode::kDocs) {
    const auto after =
        std::upper_bound(documents_.begin(), documents_.end(), index,
                         [](int64_t i, const Document& d) { return i < d.first_window; });
    const Document& document = *(after - 1);
    const int64_t begin = document.tokens.begin + (index - document.first_window) * stride_;
    return {{begin, std::min(begin + length_ + 1, document.tokens.end)}};
  }
  std::vector<TokenRange> window;
  int64_t skip = phase + index * stride_, wanted = length_ + 1;
  for (const TokenRange range : ranges_) {
    if (skip < range.size() && wanted > 0) {
      const int64_t begin = range.begin + skip;
      window.push_back({begin, std::min(begin + wanted, range.end)});
      wanted -= window.back().size();
    }
    skip = std::max<int64_t>(skip - range.size(), 0);
  }
  return window;
}

/// The tokens of a window.
struct Windows::Tokens {
  std::vector<int32_t> ids;
  std::vector<bool> begins;  // a document other than that of the token before
  std::vector<bool> learnt;
};

Windows::Tokens Windows::read(const std::vector<TokenRange>& window) const {
  Tokens tokens;
  for (const TokenRange piece : window) {
    const std::vector<int32_t> ids = shards_->copy(piece);
    const size_t at = tokens.ids.size();
    tokens.ids.insert(tokens.ids.end(), ids.begin(), ids.end());
    tokens.begins.resize(tokens.ids.size());
    tokens.begins[at] = at > 0;
    for (int64_t end = shards_->document(shards_->document_at(piece.begin)).end; end < piece.end;
         end = shards_->document(shards_->document_at(end)).end) {
      tokens.begins[at + static_cast<size_t>(end - piece.begin)] = true;
    }
    const auto learnt = std::make_unique<bool[]>(ids.size());
    if (shards_->has_answers()) {
      shards_->copy_answers(piece.begin, {learnt.get(), ids.size()});
    } else {
      std::fill_n(learnt.get(), ids.size(), true);
    }
    tokens.learnt.insert(tokens.learnt.end(), learnt.get(), learnt.get() + ids.size());
  }
  return tokens;
}

bool Windows::fill(Batch& batch, int64_t row, int64_t index, int64_t phase) const {
  const Tokens from = read(window(index, phase));
  const auto row_of = [&](auto all) {
    return all.subspan(static_cast<size_t>(row * length_), static_cast<size_t>(length_));
  };
  const auto tokens = row_of(batch.at("tokens").as<int32_t>());
  const auto targets = row_of(batch.at("targets").as<int64_t>());
  const auto found = batch.find("seq_idx");
  const auto seq_idx =
      found == batch.end() ? std::span<int32_t>() : row_of(found->second.as<int32_t>());
  const size_t inputs = from.ids.size() - 1;
  int32_t document = 0;
  for (size_t t = 0; t < tokens.size(); ++t) {
    const bool input = t < inputs;
    tokens[t] = input ? from.ids[t] : 0;
    if (input && from.begins[t]) ++document;
    if (!seq_idx.empty()) seq_idx[t] = input ? document : -1;
    const bool target = input && from.learnt[t + 1] && !from.begins[t + 1];
    targets[t] = target ? from.ids[t + 1] : kIgnoreTarget;
  }
  return std::ranges::any_of(targets, [](int64_t target) { return target != kIgnoreTarget; });
}

}  // namespace adder::data
