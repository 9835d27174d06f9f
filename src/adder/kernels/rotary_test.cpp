#include "adder/kernels/rotary.h"

#include "adder/kernels/ref/rotary.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels {
namespace {

using namespace testing;

struct Frequencies {
  std::vector<double> values;
  View<1> view() { return dense<1>(values.data(), DType::f64, {std::ssize(values)}); }
};

/// One head at one position.
Array<3> turned(std::vector<double> x, DType dtype, int64_t position, int64_t dim, bool interleaved,
                double base = 1e4) {
  Array<3> array(dtype, {1, 1, static_cast<int64_t>(x.size())});
  for (size_t i = 0; i < x.size(); ++i) set_at(array.view(), static_cast<int64_t>(i), x[i]);
  Frequencies of{rotary_frequencies(dim, base)};
  rotary({array, position, of.view(), interleaved}, Serial());
  return array;
}

void expect_values(const Array<3>& got, const std::vector<double>& want, double tolerance) {
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_NEAR(value_at(got.view(), static_cast<int64_t>(i)), want[i], tolerance) << i;
}

// cos and sin of 1e5 and 1e7 radians, and of 1e-2 of them: by 30-digit arithmetic (mpmath 1.3).
struct Turn {
  int64_t position;
  double cos_fast, sin_fast, cos_slow, sin_slow;  // of position and of position / 100
};
constexpr Turn kTurns[] = {
    {0, 1, 0, 1, 0},
    {1, 0.54030230586813972, 0.84147098480789651, 0.99995000041666528, 0.0099998333341666647},
    {100000, -0.99936080743821245, 0.035748797972016509, 0.56237907629070300, 0.82687954053200256},
    {10000000, -0.90727038618173956, 0.42054779319078249, -0.99936080743821245,
     0.035748797972016509},
};

// Four dimensions of base 1e4: frequencies 1 and 1/100.
TEST(Rotary, ClosedFormsAtAnyPosition) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    const double tolerance = dtype == DType::f64 ? 1e-12 : 3e-7;
    for (const Turn& t : kTurns) {
      SCOPED_TRACE(t.position);
      expect_values(turned({1, 0, 0, 0, 7}, dtype, t.position, 4, false),
                    {t.cos_fast, 0, t.sin_fast, 0, 7}, tolerance);
      expect_values(turned({0, 1, 0, 0}, dtype, t.position, 4, false),
                    {0, t.cos_slow, 0, t.sin_slow}, tolerance);
      expect_values(turned({0, 0, 1, 0}, dtype, t.position, 4, false),
                    {-t.sin_fast, 0, t.cos_fast, 0}, tolerance);
      expect_values(turned({1, 0, 1, 0, 7}, dtype, t.position, 4, true),
                    {t.cos_fast, t.sin_fast, t.cos_slow, t.sin_slow, 7}, tolerance);
      expect_values(turned({0, 0, 0, 1}, dtype, t.position, 4, true),
                    {0, 0, -t.sin_slow, t.cos_slow}, tolerance);
    }
  }
}

TEST(Rotary, OtherBase) {  // frequencies 1 and 1/5
  const double a = 3.0 / 5;
  expect_values(turned({0, 1, 0, 0}, DType::f64, 3, 4, false, 25), {0, std::cos(a), 0, std::sin(a)},
                1e-14);
}

TEST(Rotary, ScoresDependOnTheDistanceAlone) {
  const auto score = [](int64_t query, int64_t key) {
    return dot(turned({1, 2, 3, -1, 0.5, 2}, DType::f32, query, 6, false).view(),
               turned({2, -1, 0.3, 4, 1, -2}, DType::f32, key, 6, false).view());
  };
  EXPECT_NEAR(score(17, 5), score(5000017, 5000005), 1e-4);
}

TEST(Rotary, EveryInstructionSetMatchesReference) {
  for (const int64_t dim : {0, 2, 14, 16, 32, 34, 64, 128}) {
    for (const bool interleaved : {false, true}) {
      for (const Isa isa : isas()) {
        SCOPED_TRACE(::testing::Message() << to_string(isa) << " dim " << dim);
        const IsaScope scope(isa);
        Rng rng(3);
        Array<3> x = Array<3>(DType::f32, {37, 3, dim + 5}, 2).fill(rng);
        Array<3> want = copy_as(DType::f64, x.view());
        Frequencies of{rotary_frequencies(dim, 500000)};
        rotary({x, 123456, of.view(), interleaved}, OddThreads(2));
        ref::rotary<double>({want, 123456, of.view(), interleaved});
        EXPECT_LT(error_of(x.view(), want.view()), 3e-7);
        EXPECT_TRUE(x.gaps_untouched());
      }
    }
  }
}

}  // namespace
}  // namespace adder::kernels
