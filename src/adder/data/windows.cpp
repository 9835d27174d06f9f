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

Windows::Windows(const ShardSet& shards, TokenRange range, int64_t length, PackMode mode)
    : shards_(&shards), range_(range), length_(length), mode_(mode) {
  if (length < 1 || length > INT32_MAX) {
    throw Error(ErrorKind::kConfig, {.what = fmt::format("a window of {} tokens", length),
                                     .why = fmt::format("the length must be 1 to {}", INT32_MAX)});
  }
  if (range.begin < 0 || range.end < range.begin || range.end > shards.size()) {
    throw Error(ErrorKind::kConfig, {.what = fmt::format("tokens [{}, {}) are not in the stream",
                                                         range.begin, range.end),
                                     .why = fmt::format("it has {}", shards.size())});
  }
  if (range.size() == 0) return;
  if (mode == PackMode::kDocs) {
    list_documents();
    has_seq_idx_ = true;
  } else {
    has_seq_idx_ = shards.document_at(range.begin) != shards.document_at(range.end - 1);
  }
}

void Windows::list_documents() {
  const int64_t last = shards_->document_at(range_.end - 1);
  for (int64_t i = shards_->document_at(range_.begin); i <= last; ++i) {
    const TokenRange whole = shards_->document(i);
    const TokenRange part{std::max(whole.begin, range_.begin), std::min(whole.end, range_.end)};
    if (part.size() < 2) continue;
    documents_.push_back({part, document_windows_});
    document_windows_ += (part.size() - 2) / length_ + 1;
  }
}

int64_t Windows::phase(uint64_t seed, uint64_t epoch) const {
  if (mode_ == PackMode::kDocs || range_.size() <= length_) return 0;
  Rng rng(seed, stream_of("data.window_phase") + epoch);
  return rng.below(std::min(length_, range_.size() - length_));
}

int64_t Windows::count(int64_t phase) const {
  if (mode_ == PackMode::kDocs) return document_windows_;
  return std::max<int64_t>(range_.size() - phase - 1, 0) / length_;
}

TokenRange Windows::window(int64_t index, int64_t phase) const {
  if (mode_ == PackMode::kPacked) {
    const int64_t begin = range_.begin + phase + index * length_;
    return {begin, begin + length_ + 1};
  }
  const auto after =
      std::upper_bound(documents_.begin(), documents_.end(), index,
                       [](int64_t i, const Document& d) { return i < d.first_window; });
  const Document& document = *(after - 1);
  const int64_t begin = document.tokens.begin + (index - document.first_window) * length_;
  return {begin, std::min(begin + length_ + 1, document.tokens.end)};
}

bool Windows::fill(Batch& batch, int64_t row, int64_t index, int64_t phase) const {
  const TokenRange window = this->window(index, phase);
  const std::vector<int32_t> ids = shards_->copy(window);
  const auto row_of = [&](auto all) {
    return all.subspan(static_cast<size_t>(row * length_), static_cast<size_t>(length_));
  };
  const auto tokens = row_of(batch.at("tokens").as<int32_t>());
  const auto targets = row_of(batch.at("targets").as<int64_t>());
  const size_t inputs = ids.size() - 1;
  for (size_t t = 0; t < tokens.size(); ++t) {
    tokens[t] = t < inputs ? ids[t] : 0;
    targets[t] = t < inputs ? ids[t + 1] : kIgnoreTarget;
  }
  if (shards_->has_answers()) keep_answers(window, targets.first(inputs));
  if (const auto found = batch.find("seq_idx"); found != batch.end()) {
    number_documents(window, targets, row_of(found->second.as<int32_t>()));
  }
  return std::ranges::any_of(targets, [](int64_t target) { return target != kIgnoreTarget; });
}

void Windows::keep_answers(TokenRange window, std::span<int64_t> targets) const {
  const auto learnt = std::make_unique<bool[]>(targets.size());
  shards_->copy_answers(window.begin + 1, {learnt.get(), targets.size()});
  for (size_t t = 0; t < targets.size(); ++t) {
    if (!learnt[t]) targets[t] = kIgnoreTarget;
  }
}

void Windows::number_documents(TokenRange window, std::span<int64_t> targets,
                               std::span<int32_t> seq_idx) const {
  const auto inputs = static_cast<size_t>(window.size() - 1);
  int64_t document = shards_->document_at(window.begin);
  int64_t document_end = shards_->document(document).end;
  int32_t number = 0;
  for (size_t t = 0; t < seq_idx.size(); ++t) {
    const int64_t position = window.begin + static_cast<int64_t>(t);
    if (t < inputs && position == document_end) {
      document_end = shards_->document(++document).end;
      ++number;
    }
    seq_idx[t] = t < inputs ? number : -1;
    if (t < inputs && position + 1 == document_end) targets[t] = kIgnoreTarget;
  }
}

}  // namespace adder::data
