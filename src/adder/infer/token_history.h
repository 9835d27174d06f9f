// What is remembered of the tokens that a state has read: which ones occurred, and the last few.
// Its size depends on the vocabulary, not on the length of the text.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace adder::infer {

class TokenHistory {
 public:
  static constexpr std::size_t kLast = 256;

  TokenHistory() = default;
  explicit TokenHistory(std::span<const int32_t> ids) { add(ids); }
  /// Out of occurred_bits() and last(). Throws kFormat when they contradict each other.
  TokenHistory(std::vector<uint8_t> occurred, std::vector<int32_t> last);

  /// Throws kUsage for a negative id.
  void add(std::span<const int32_t> ids);

  bool occurred(int32_t id) const;
  /// The last kLast tokens, the oldest first; all of a shorter text.
  const std::vector<int32_t>& last() const { return last_; }

  /// Bit id % 8 of byte id / 8: that token occurred. Ends with the byte of the largest.
  const std::vector<uint8_t>& occurred_bits() const { return occurred_; }

 private:
  std::vector<uint8_t> occurred_;
  std::vector<int32_t> last_;
};

}  // namespace adder::infer
