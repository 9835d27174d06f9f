#include "adder/infer/token_history.h"

#include <algorithm>

#include "adder/base/error.h"

namespace adder::infer {
namespace {

std::size_t byte_of(int32_t id) {
  return static_cast<std::size_t>(id) / 8;
}
uint8_t bit_of(int32_t id) {
  return static_cast<uint8_t>(1u << (id % 8));
}

}  // namespace

TokenHistory::TokenHistory(std::vector<uint8_t> occurred, std::vector<int32_t> last)
    : occurred_(std::move(occurred)), last_(std::move(last)) {
  const bool all_occurred =
      std::ranges::all_of(last_, [this](int32_t id) { return this->occurred(id); });
  const bool ends = occurred_.empty() ? true : occurred_.back() != 0;
  if (all_occurred && ends && last_.empty() == occurred_.empty() && last_.size() <= kLast) return;
  throw Error(ErrorKind::kFormat, {.what = "the tokens of a text contradict each other"});
}

void TokenHistory::add(std::span<const int32_t> ids) {
  for (const int32_t id : ids) {
    if (id < 0) {
      throw Error(ErrorKind::kUsage, {.what = "no token has the id " + std::to_string(id)});
    }
    if (byte_of(id) >= occurred_.size()) occurred_.resize(byte_of(id) + 1);
    occurred_[byte_of(id)] |= bit_of(id);
  }
  const std::span<const int32_t> tail = ids.last(std::min(ids.size(), kLast));
  const std::size_t held = last_.size() + tail.size();
  if (held > kLast) last_.erase(last_.begin(), last_.begin() + static_cast<int>(held - kLast));
  last_.insert(last_.end(), tail.begin(), tail.end());
}

bool TokenHistory::occurred(int32_t id) const {
  return id >= 0 && byte_of(id) < occurred_.size() && (occurred_[byte_of(id)] & bit_of(id)) != 0;
}

}  // namespace adder::infer
