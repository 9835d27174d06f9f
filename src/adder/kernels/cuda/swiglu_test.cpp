#include "adder/kernels/swiglu.h"

#include <cmath>

#include "adder/kernels/cuda/test_device.h"

namespace adder::kernels {
namespace {

using namespace testing;

void expect_equal(DType type, int64_t rows, int64_t width, int64_t gap) {
  Rng rng(5);
  const std::array<int64_t, 2> size = {rows, width};
  const Array<2> up = Array<2>(type, size, gap).fill(rng),
                 gate = Array<2>(type, size, gap).fill(rng, 3),
                 grad_y = Array<2>(type, size).fill(rng);
  const Array<2> y(type, size), grad_up(type, size, gap), grad_gate(type, size, gap);
  OnDevice device;
  const TestWork work;
  const SwigluInputs in{device(up.view()), device(gate.view())};
  ASSERT_EQ(cuda::swiglu(in, device(y.view()), work), nullptr);
  ASSERT_EQ(
      cuda::swiglu_backward(
          in, {device(grad_y.view()), device(grad_up.view()), device(grad_gate.view())}, work),
      nullptr);
  device.fetch();
  const Array<2> want_y(DType::f64, size), want_up(DType::f64, size), want_gate(DType::f64, size);
  for (int64_t i = 0; i < rows * width; ++i) {
    const double u = value_at(up.view(), i), g = value_at(gate.view(), i);
    const double outer = value_at(grad_y.view(), i), s = 1 / (1 + std::exp(-g));
    set_at(want_y.view(), i, u * g * s);
    set_at(want_up.view(), i, outer * g * s);
    set_at(want_gate.view(), i, outer * u * s * (1 + g * (1 - s)));
  }
  EXPECT_LT(error_of(y.view(), want_y.view()), 2e-6);
  EXPECT_LT(error_of(grad_up.view(), want_up.view()), 2e-6);
  EXPECT_LT(error_of(grad_gate.view(), want_gate.view()), 2e-6);
  EXPECT_TRUE(grad_up.gaps_untouched() && grad_gate.gaps_untouched());
}

TEST(CudaSwiglu, MatchesItsFormula) {
  ADDER_NEEDS_DEVICE();
  const int64_t rows[] = {1, 3, 70}, widths[] = {1, 7, 8, 264, 2048}, gaps[] = {0, 1, 8};
  for (const auto& level : pairwise({2, 3, 5, 3})) {
    SCOPED_TRACE(::testing::Message() << level[0] << level[1] << level[2] << level[3]);
    expect_equal(level[0] == 0 ? DType::f32 : DType::bf16, rows[level[1]], widths[level[2]],
                 gaps[level[3]]);
  }
}

}  // namespace
}  // namespace adder::kernels
