// Elements of random tensors. Element i of a stream is a pure function of (seed, stream, i), and
// the same bits on every processor and device: it takes only + - * / and square roots, which IEEE
// 754 rounds in one way. So what compiles this may not fuse products with sums.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <numbers>

#include "adder/base/rng.h"

namespace adder {

/// What is drawn: uniform in [a, b), or normal with mean 0 and standard deviation a.
struct Draw {
  enum class Kind : int32_t { kUniform, kNormal };
  Kind kind = Kind::kUniform;
  double a = 0, b = 0;
  uint64_t seed = 0, stream = 0;
};

/// out[0 .. end - begin): elements begin to end - 1.
void draw(const Draw& what, int64_t begin, int64_t end, float* out);

/// 53 random bits as a number of [0, 1); the high words count 27, the low ones 26.
constexpr double unit(uint32_t high, uint32_t low) {
  return static_cast<int32_t>(high >> 5) * 0x1p-27 + static_cast<int32_t>(low >> 6) * 0x1p-53;
}

/// The two numbers of [0, 1) that an element is made of.
struct Units {
  double first, second;
};
constexpr Units units_at(uint64_t seed, uint64_t stream, uint64_t element) {
  const auto words = philox({static_cast<uint32_t>(element), static_cast<uint32_t>(element >> 32),
                             static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
                            {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  return {unit(words[0], words[1]), unit(words[2], words[3])};
}

/// ln x to 1e-15 of itself, for x in (0, 1]: x = 2^k m with m in [1/sqrt 2, sqrt 2), and ln m =
/// 2 artanh s = 2 (s + s^3/3 + ...) of s = (m - 1) / (m + 1), |s| < 0.172.
constexpr double log_of_unit(double x) {
  constexpr uint64_t kRootHalf = 0x3fe6a09e667f3bcd;  // the bits of 1/sqrt 2
  const auto bits = std::bit_cast<uint64_t>(x);
  const int32_t k = static_cast<int32_t>((bits - kRootHalf) >> 32) >> 20;
  const auto m = std::bit_cast<double>(bits - (uint64_t{static_cast<uint32_t>(k)} << 52));
  const double s = (m - 1) / (m + 1), z = s * s;
  double series = 0;
  for (int n = 21; n >= 1; n -= 2) series = series * z + 1.0 / n;
  return k * std::numbers::ln2 + 2 * s * series;
}

/// cos(2 pi u) to 1e-15, for u in [0, 1): sin a of a = 2 pi (|u - 1/2| - 1/4), |a| <= pi/2.
constexpr double cosine_of_turns(double u) {
  const double away = u < 0.5 ? 0.5 - u : u - 0.5;
  const double a = 2 * std::numbers::pi * (away - 0.25), z = a * a;
  double series = 1;
  for (int n = 20; n >= 2; n -= 2) series = 1 - series * z * (1.0 / (n * (n + 1)));
  return a * series;
}

/// An element, out of its two numbers. Normal ones by Box and Muller; 1 - u is never 0.
constexpr float element_of(const Draw& what, Units u) {
  if (what.kind == Draw::Kind::kUniform)
    return static_cast<float>(what.a + (what.b - what.a) * u.first);
  return static_cast<float>(what.a * std::sqrt(-2 * log_of_unit(1 - u.first)) *
                            cosine_of_turns(u.second));
}

}  // namespace adder
