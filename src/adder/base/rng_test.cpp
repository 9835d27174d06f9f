#include "adder/base/rng.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>
#include <vector>

namespace adder {
namespace {

using Counter = std::array<uint32_t, 4>;

// Random123, tests/kat_vectors, philox4x32 10.
TEST(Philox, KnownAnswers) {
  constexpr uint32_t kOnes = 0xffffffffu;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}),
            (Counter{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Counter{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Counter{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, SeekingGivesTheSameNumbers) {
  Rng straight(7, 3);
  std::vector<uint32_t> drawn;
  for (int i = 0; i < 40; ++i) drawn.push_back(straight.bits());
  for (uint64_t i = 0; i < 40; ++i) {
    Rng sought(7, 3);
    sought.seek(i);
    EXPECT_EQ(sought.bits(), drawn[i]);
    EXPECT_EQ(sought.position(), i + 1);
  }
  EXPECT_NE(Rng(8, 3).bits(), drawn[0]);
  EXPECT_NE(Rng(7, 4).bits(), drawn[0]);
}

TEST(Rng, MomentsAndBounds) {
  Rng rng(1);
  constexpr int kDraws = 100000;
  double sum = 0, squares = 0, uniforms = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double normal = rng.normal();
    sum += normal;
    squares += normal * normal;
    const double uniform = rng.uniform();
    ASSERT_GE(uniform, 0.0);
    ASSERT_LT(uniform, 1.0);
    uniforms += uniform;
  }
  // Five standard errors of each mean.
  EXPECT_LT(std::abs(sum / kDraws), 5 / std::sqrt(kDraws));
  EXPECT_LT(std::abs(squares / kDraws - 1), 5 * std::sqrt(2.0 / kDraws));
  EXPECT_LT(std::abs(uniforms / kDraws - 0.5), 5 * std::sqrt(1.0 / 12 / kDraws));
  std::array<int, 7> counts{};
  for (int i = 0; i < kDraws; ++i) ++counts.at(static_cast<std::size_t>(rng.below(7)));
  for (const int count : counts) {
    EXPECT_LT(std::abs(count - kDraws / 7.0), 5 * std::sqrt(kDraws * (1.0 / 7) * (6.0 / 7)));
  }
  EXPECT_EQ(rng.below(1), 0);
}

TEST(Rng, BelowTakesTheHighWordFirst) {
  Rng words(3, 9);
  Rng rng(3, 9);
  for (int i = 0; i < 10; ++i) {
    const uint64_t high = words.bits();
    const uint64_t low = words.bits();
    // Of a power of two as a bound the low bits are left.
    EXPECT_EQ(rng.below(int64_t{1} << 40), static_cast<int64_t>((high & 0xff) << 32 | low));
  }
}

TEST(Permuted, IsABijection) {
  for (const int64_t count : {1, 2, 3, 4, 5, 16, 17, 100, 1000, 4097}) {
    std::vector<bool> hit(static_cast<std::size_t>(count));
    for (int64_t i = 0; i < count; ++i) {
      const int64_t from = permuted(i, count, 42, 1);
      ASSERT_GE(from, 0);
      ASSERT_LT(from, count);
      ASSERT_FALSE(hit[static_cast<std::size_t>(from)]) << count << " " << i;
      hit[static_cast<std::size_t>(from)] = true;
    }
  }
}

TEST(Permuted, DependsOnSeedAndEpoch) {
  std::set<std::vector<int64_t>> orders;
  for (uint64_t seed = 0; seed < 3; ++seed) {
    for (uint64_t epoch = 0; epoch < 3; ++epoch) {
      std::vector<int64_t> order;
      for (int64_t i = 0; i < 50; ++i) order.push_back(permuted(i, 50, seed, epoch));
      orders.insert(order);
    }
  }
  EXPECT_EQ(orders.size(), 9u);
}

TEST(StreamOf, IsFnv1a) {
  // FNV-1a, 64 bits, has offset basis 0xcbf29ce484222325 and these values in its published tests.
  EXPECT_EQ(stream_of(""), 0xcbf29ce484222325ull);
  EXPECT_EQ(stream_of("a"), 0xaf63dc4c8601ec8cull);
  EXPECT_EQ(stream_of("foobar"), 0x85944171f73967e8ull);
}

}  // namespace
}  // namespace adder
