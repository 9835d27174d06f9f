// How a window of softmax attention is cut into blocks, by training and by the plan of its memory.
#pragma once

#include <algorithm>
#include <cstdint>

namespace adder::model {

/// Queries that share the keys of one block: these many and the window - 1 before them. About the
/// window, so that at most half of the scores are masked, and enough for one product.
inline int64_t window_block(int64_t window) {
  constexpr int64_t kFewest = 64;
  return std::max(window, kFewest);
}

}  // namespace adder::model
