#include "adder/base/rng.h"

#include <bit>
#include <cmath>
#include <numbers>

namespace adder {

uint32_t Rng::bits() {
  const uint64_t block = position_ / 4;
  const auto words = philox({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32),
                             static_cast<uint32_t>(stream_), static_cast<uint32_t>(stream_ >> 32)},
                            {static_cast<uint32_t>(seed_), static_cast<uint32_t>(seed_ >> 32)});
  return words[position_++ % 4];
}

double Rng::uniform() {
  const uint64_t high = bits() >> 5;  // 27 bits
  const uint64_t low = bits() >> 6;   // 26 bits
  return static_cast<double>((high << 26) | low) * 0x1p-53;
}

double Rng::uniform(double lo, double hi) {
  return lo + (hi - lo) * uniform();
}

double Rng::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

int64_t Rng::below(int64_t bound) {
  const auto range = static_cast<uint64_t>(bound);
  const uint64_t limit = UINT64_MAX - UINT64_MAX % range;
  while (true) {
    const uint64_t high = bits();
    const uint64_t draw = (high << 32) | bits();
    if (draw < limit) return static_cast<int64_t>(draw % range);
  }
}

int64_t permuted(int64_t index, int64_t count, uint64_t seed, uint64_t epoch) {
  const int width = std::bit_width(static_cast<uint64_t>(count - 1));
  const int half = (width + 1) / 2;
  const uint64_t mask = (uint64_t{1} << half) - 1;
  auto value = static_cast<uint64_t>(index);
  do {  // the network permutes [0, 4^half); walk the cycle until it lands inside [0, count)
    uint64_t left = value >> half;
    uint64_t right = value & mask;
    for (uint32_t round = 0; round < 4; ++round) {
      const auto words = philox({static_cast<uint32_t>(right), static_cast<uint32_t>(right >> 32),
                                 round, static_cast<uint32_t>(epoch)},
                                {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
      const uint64_t mixed = left ^ (((uint64_t{words[1]} << 32) | words[0]) & mask);
      left = right;
      right = mixed;
    }
    value = (left << half) | right;
  } while (value >= static_cast<uint64_t>(count));
  return static_cast<int64_t>(value);
}

}  // namespace adder
