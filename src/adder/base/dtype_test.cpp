#include "adder/base/dtype.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace adder {
namespace {

constexpr uint16_t kSign = 0x8000;

// IEEE 754, read off the definition: sign, exponent, fraction.
double value_of(uint16_t bits, int exponent_bits, int fraction_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const int exponent = (bits >> fraction_bits) & ((1 << exponent_bits) - 1);
  const int fraction = bits & ((1 << fraction_bits) - 1);
  const double sign = (bits & kSign) != 0 ? -1 : 1;
  if (exponent == (1 << exponent_bits) - 1) {
    return fraction != 0 ? std::numeric_limits<double>::quiet_NaN()
                         : sign * std::numeric_limits<double>::infinity();
  }
  if (exponent == 0) return sign * std::ldexp(fraction, 1 - bias - fraction_bits);
  return sign * std::ldexp(fraction + (1 << fraction_bits), exponent - bias - fraction_bits);
}

template <typename T>
struct Format;
template <>
struct Format<f16> {
  static constexpr int kExponent = 5, kFraction = 10;
  static f16 round(float x) { return to_f16(x); }
};
template <>
struct Format<bf16> {
  static constexpr int kExponent = 8, kFraction = 7;
  static bf16 round(float x) { return to_bf16(x); }
};

template <typename T>
class HalfTest : public testing::Test {};
using Halves = testing::Types<f16, bf16>;
TYPED_TEST_SUITE(HalfTest, Halves);

TYPED_TEST(HalfTest, EveryValueIsReadByItsDefinitionAndComesBack) {
  using F = Format<TypeParam>;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const TypeParam half{static_cast<uint16_t>(bits)};
    const double expected = value_of(half.bits, F::kExponent, F::kFraction);
    const float got = to_float(half);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(got)) << bits;
      ASSERT_TRUE(std::isnan(to_float(F::round(got)))) << bits;
      continue;
    }
    ASSERT_EQ(got, expected) << bits;
    ASSERT_EQ(std::signbit(got), (bits & kSign) != 0) << bits;
    ASSERT_EQ(F::round(got).bits, bits);
  }
}

// Between each value and the next: the middle goes to the even one, its neighbours to the nearer
// one.
TYPED_TEST(HalfTest, RoundsToNearestEven) {
  using F = Format<TypeParam>;
  const uint32_t infinity = ((1u << F::kExponent) - 1) << F::kFraction;
  for (uint32_t bits = 0; bits < infinity; ++bits) {
    const double low = value_of(static_cast<uint16_t>(bits), F::kExponent, F::kFraction);
    // The value after the largest is where infinity begins, as if the exponent went on.
    const double high = bits + 1 == infinity
                            ? std::ldexp(1.0, 1 << (F::kExponent - 1))
                            : value_of(static_cast<uint16_t>(bits + 1), F::kExponent, F::kFraction);
    const auto middle = static_cast<float>((low + high) / 2);
    if (static_cast<double>(middle) != (low + high) / 2)
      continue;  // below the floats' own precision
    const float before = std::nextafter(middle, 0.0f);
    const float after = std::nextafter(middle, std::numeric_limits<float>::infinity());
    ASSERT_EQ(F::round(middle).bits, bits + (bits & 1)) << bits;
    ASSERT_EQ(F::round(before).bits, bits) << bits;
    ASSERT_EQ(F::round(after).bits, bits + 1) << bits;
    ASSERT_EQ(F::round(-middle).bits, (bits + (bits & 1)) | kSign) << bits;
  }
}

TEST(DType, SizesAndNames) {
  EXPECT_EQ(size_of(DType::f64), 8);
  EXPECT_EQ(size_of(DType::bf16), 2);
  EXPECT_EQ(size_of(DType::u16), 2);
  EXPECT_EQ(size_of(DType::boolean), 1);
  EXPECT_EQ(to_string(DType::f64), "f64");
  EXPECT_EQ(to_string(DType::boolean), "bool");
  EXPECT_EQ(to_string(DType::u16), "u16");
}

}  // namespace
}  // namespace adder
