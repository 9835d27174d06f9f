#include "adder/infer/arena.h"

#include <algorithm>

namespace adder::infer {

float* Arena::take(int64_t count) {
  constexpr int64_t kStep = kCacheLine / sizeof(float);
  const int64_t size = (count + kStep - 1) / kStep * kStep;
  while (block_ < blocks_.size() && used_ + size > blocks_[block_].size()) {
    ++block_;
    used_ = 0;
  }
  if (block_ == blocks_.size()) blocks_.emplace_back(std::max(size, capacity()));
  float* place = blocks_[block_].data() + used_;
  used_ += size;
  return place;
}

int64_t Arena::capacity() const {
  int64_t total = 0;
  for (const auto& block : blocks_) total += block.size();
  return total;
}

void Arena::give_back(std::size_t block, int64_t used) {
  block_ = block;
  used_ = used;
  if (--depth_ > 0 || blocks_.size() < 2) return;
  const int64_t total = capacity();  // nothing is in use: one block takes the place of several
  blocks_.clear();
  blocks_.emplace_back(total);
  block_ = 0;
  used_ = 0;
}

}  // namespace adder::infer
