#include "adder/kernels/mlp_activation.h"

#include "adder/kernels/ref/mlp_activation.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels {
namespace {

using namespace testing;

/// Largest error, each against its own value.
double worst_of(const View<2>& got, const View<2>& want) {
  double worst = 0;
  for (int64_t i = 0; i < count_of(want); ++i) {
    const double a = value_at(got, i), b = value_at(want, i);
    worst = std::max(worst, std::abs(a - b) / (std::abs(b) + 1e-30));
    if (!std::isfinite(a)) return a;
  }
  return worst;
}

// silu(ln 3) = 3/4 ln 3; Phi(1) by Abramowitz & Stegun, table 26.1.
TEST(MlpActivation, ClosedForms) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Array<2> up(dtype, {1, 3}), gate(dtype, {1, 3}), y(dtype, {1, 3});
    const double a[] = {2, -5, 1}, b[] = {std::log(3.0), 0, -std::log(3.0)};
    for (int i = 0; i < 3; ++i) set_at(up.view(), i, a[i]), set_at(gate.view(), i, b[i]);
    swiglu(up, gate, y, Serial());
    EXPECT_NEAR(value_at(y.view(), 0), 1.5 * std::log(3.0), 3e-7);
    EXPECT_EQ(value_at(y.view(), 1), 0);
    EXPECT_NEAR(value_at(y.view(), 2), -0.25 * std::log(3.0), 3e-7);
    const double x[] = {1, -1, 0};
    for (int i = 0; i < 3; ++i) set_at(up.view(), i, x[i]);
    gelu(up, y, Serial());
    EXPECT_NEAR(value_at(y.view(), 0), 0.841344746068543, 1e-7);
    EXPECT_NEAR(value_at(y.view(), 1), -0.158655253931457, 1e-7);
    EXPECT_EQ(value_at(y.view(), 2), 0);
  }
}

TEST(MlpActivation, EveryInstructionSetMatchesReference) {
  for (const int64_t width : {1, 3, 4, 15, 16, 17, 100}) {
    for (const Isa isa : isas()) {
      SCOPED_TRACE(::testing::Message() << to_string(isa) << " width " << width);
      const IsaScope scope(isa);
      Rng rng(7);
      Array<2> up = Array<2>(DType::f32, {33, width}, 3).fill(rng);
      Array<2> gate = Array<2>(DType::f32, {33, width}, 5).fill(rng, 4), y(DType::f32, {33, width});
      Array<2> want = f64_like(y.view());
      swiglu(up, gate, y, OddThreads(2));
      ref::swiglu<double>(up, gate, want);
      EXPECT_LT(worst_of(y.view(), want.view()), 1e-6);
      ref::gelu<double>(gate, want);
      gelu(gate, gate, OddThreads(2));  // in place, between gaps
      EXPECT_LT(worst_of(gate.view(), want.view()), 1e-5);
      EXPECT_TRUE(gate.gaps_untouched());
      ref::swiglu<double>(up, y, want);
      swiglu(up, y, up, Serial());
      EXPECT_LT(worst_of(up.view(), want.view()), 1e-6);
      EXPECT_TRUE(up.gaps_untouched());
    }
  }
}

TEST(MlpActivation, LargeGatesDoNotOverflow) {
  for (const Isa isa : isas()) {
    const IsaScope scope(isa);
    Array<2> up(DType::f32, {1, 2}), gate(DType::f32, {1, 2}), y(DType::f32, {1, 2});
    up.fill_with(2);
    set_at(gate.view(), 0, 1e4);
    set_at(gate.view(), 1, -1e4);
    swiglu(up, gate, y, Serial());
    EXPECT_EQ(value_at(y.view(), 0), 2e4);
    EXPECT_NEAR(value_at(y.view(), 1), 0, 1e-30);
    gelu(gate, y, Serial());
    EXPECT_EQ(value_at(y.view(), 0), 1e4);
    EXPECT_EQ(value_at(y.view(), 1), 0);
  }
}

}  // namespace
}  // namespace adder::kernels
