#include "adder/base/draw.h"

#include <gtest/gtest.h>

#include <vector>

namespace adder {
namespace {

constexpr Draw kDraws[] = {{Draw::Kind::kUniform, -0.5, 0.25, 0x123456789, stream_of("a")},
                           {Draw::Kind::kNormal, 0.02, 0, 7, stream_of("b")}};

TEST(Draw, AnElementDependsOnItsIndexAlone) {
  for (const Draw& what : kDraws) {
    for (const int64_t begin : {int64_t{0}, int64_t{5}, int64_t{16}, (int64_t{1} << 32) - 20}) {
      for (const int64_t count : {0, 1, 15, 16, 17, 100}) {
        std::vector<float> drawn(static_cast<size_t>(count) + 1, 9);
        draw(what, begin, begin + count, drawn.data());
        for (int64_t i = 0; i < count; ++i) {
          const auto element = static_cast<uint64_t>(begin + i);
          EXPECT_EQ(drawn[static_cast<size_t>(i)],
                    element_of(what, units_at(what.seed, what.stream, element)));
        }
        EXPECT_EQ(drawn.back(), 9);  // nothing behind the end
      }
    }
  }
}

TEST(Draw, AnElementTakesFourWordsOfItsStream) {
  for (const uint64_t element : {uint64_t{0}, uint64_t{12345}, (uint64_t{1} << 40) + 3}) {
    Rng rng(11, 22);
    rng.seek(4 * element);
    const Units units = units_at(11, 22, element);
    EXPECT_EQ(units.first, rng.uniform());
    EXPECT_EQ(units.second, rng.uniform());
  }
}

TEST(Draw, LogarithmAndCosineAreThoseOfTheLibrary) {
  std::vector<double> numbers = {0x1p-53, 0x1.8p-53, 0.25, 0.5, 0.75, std::sqrt(0.5), 1 - 0x1p-53};
  Rng rng(5);
  for (int i = 0; i < 100000; ++i) numbers.push_back(std::ldexp(1 - rng.uniform(), -(i % 40)));
  for (const double x : numbers) {
    const double expected = std::log(x);
    EXPECT_NEAR(log_of_unit(x), expected, 1e-15 * std::abs(expected)) << x;
    const long double angle = 2 * std::numbers::pi_v<long double> * x;
    EXPECT_NEAR(cosine_of_turns(x), static_cast<double>(std::cos(angle)), 1e-15) << x;
  }
  EXPECT_EQ(log_of_unit(1), 0);
  EXPECT_EQ(cosine_of_turns(0.25), 0);
}

}  // namespace
}  // namespace adder
