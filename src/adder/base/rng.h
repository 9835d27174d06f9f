// A counter-based random generator: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as
// easy as 1, 2, 3", SC 2011). The n-th number of a stream is a pure function of (seed, stream, n):
// nothing is carried, so any element can be drawn by any thread, and a resumed run draws what the
// uninterrupted one would have.
#pragma once

#include <array>
#include <cstdint>

namespace adder {

/// Round `round` of ten, on words of 32 bits each: in 64, so that many can be turned side by side.
constexpr void philox_round(uint32_t round, std::array<uint32_t, 2> key, uint64_t& c0, uint64_t& c1,
                            uint64_t& c2, uint64_t& c3) {
  const uint64_t left = 0xD2511F53u * c0;
  const uint64_t right = 0xCD9E8D57u * c2;
  c0 = (right >> 32) ^ c1 ^ (key[0] + round * 0x9E3779B9u);
  c1 = right & 0xFFFFFFFFu;
  c2 = (left >> 32) ^ c3 ^ (key[1] + round * 0xBB67AE85u);
  c3 = left & 0xFFFFFFFFu;
}

/// Four 32-bit words out of a 128-bit counter and a 64-bit key.
constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter,
                                         std::array<uint32_t, 2> key) {
  uint64_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  for (uint32_t round = 0; round < 10; ++round) philox_round(round, key, c0, c1, c2, c3);
  return {static_cast<uint32_t>(c0), static_cast<uint32_t>(c1), static_cast<uint32_t>(c2),
          static_cast<uint32_t>(c3)};
}

/// A stream of random numbers with a position that can be read and set.
class Rng {
 public:
  explicit Rng(uint64_t seed, uint64_t stream = 0) : seed_(seed), stream_(stream) {}

  uint32_t bits();   // uniform 32 bits
  double uniform();  // [0, 1), 53 bits
  double uniform(double lo, double hi);
  double normal();               // mean 0, variance 1 (Box-Muller)
  int64_t below(int64_t bound);  // [0, bound), unbiased; bound >= 1

  uint64_t position() const { return position_; }  // 32-bit words drawn so far
  void seek(uint64_t position) { position_ = position; }

 private:
  uint64_t seed_;
  uint64_t stream_;
  uint64_t position_ = 0;
};

/// A stream number for a name, so that each tensor or purpose draws its own: FNV-1a of the text.
constexpr uint64_t stream_of(const char* name) {
  uint64_t hash = 14695981039346656037ull;
  for (; *name != 0; ++name) hash = (hash ^ static_cast<unsigned char>(*name)) * 1099511628211ull;
  return hash;
}

/// A bijection of [0, count) chosen by (seed, epoch): where element `index` of the shuffled order
/// comes from. A Feistel network over Philox with cycle walking, so no table is kept. count >= 1.
int64_t permuted(int64_t index, int64_t count, uint64_t seed, uint64_t epoch);

}  // namespace adder
