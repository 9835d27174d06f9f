#include "adder/kernels/rms_norm.h"

#include "adder/kernels/ref/rms_norm.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels {
namespace {

using namespace testing;

/// One channel alone has almost no gradient unless eps is large.
double eps_of(int64_t channels) {
  return channels == 1 ? 0.5 : 1e-5;
}

struct Case {
  int64_t rows, width, gap = 0;
  DType x = DType::f32, weight = DType::f32, residual = DType::f32;
  bool with_residual = true, with_new_residual = true;
};

/// Every array of one call; outputs are poisoned.
struct Arrays {
  Array<2> x, residual, y, new_residual, grad_y, grad_new_residual, grad_x, grad_residual;
  Array<1> weight, grad_weight;

  explicit Arrays(const Case& c) {
    Rng rng(7);
    const auto rows_of = [&](DType dtype) { return Array<2>(dtype, {c.rows, c.width}, c.gap); };
    x = rows_of(c.x).fill(rng, 1, 0.5);
    weight = Array<1>(c.weight, {c.width}).fill(rng, 0.5, 1);
    grad_y = rows_of(c.x).fill(rng);
    y = rows_of(c.x);
    grad_x = rows_of(c.x);
    grad_weight = Array<1>(c.weight, {c.width});
    if (c.with_residual) {
      residual = rows_of(c.residual).fill(rng, 2);
      grad_residual = rows_of(c.residual);
    }
    if (c.with_new_residual) {
      new_residual = rows_of(c.residual);
      grad_new_residual = rows_of(c.residual).fill(rng);
    }
  }
  RmsNormInputs inputs() const { return {x, weight, residual, eps_of(x.view().size[1])}; }
  RmsNormOutputs outputs() const { return {y, new_residual}; }
  RmsNormGradients gradients() const {
    return {grad_y, grad_new_residual, grad_x, grad_weight, grad_residual};
  }
};

TEST(RmsNorm, HandComputedRow) {
  Arrays a({.rows = 1, .width = 2, .x = DType::f64, .weight = DType::f64, .residual = DType::f64});
  const double x[] = {1, 5}, residual[] = {2, -1}, weight[] = {1, 3};
  for (int i = 0; i < 2; ++i) {
    set_at(a.x.view(), i, x[i]);
    set_at(a.residual.view(), i, residual[i]);
    set_at(a.weight.view(), i, weight[i]);
  }
  RmsNormInputs in = a.inputs();
  in.eps = 12;  // mean of (3, 4) squared is 12.5
  rms_norm(in, a.outputs(), Serial());
  EXPECT_DOUBLE_EQ(value_at(a.y.view(), 0), 3 / std::sqrt(24.5));
  EXPECT_DOUBLE_EQ(value_at(a.y.view(), 1), 12 / std::sqrt(24.5));
  EXPECT_DOUBLE_EQ(value_at(a.new_residual.view(), 1), 4);
}

TEST(RmsNorm, GradientsMatchFiniteDifferences) {
  for (const bool residual : {false, true}) {
    Arrays a({3, 5, 1, DType::f64, DType::f64, DType::f64, residual, residual});
    rms_norm_backward(a.inputs(), a.gradients(), Serial());
    const auto loss = [&] {
      rms_norm(a.inputs(), a.outputs(), Serial());
      return dot(a.y.view(), a.grad_y.view()) +
             dot(a.new_residual.view(), a.grad_new_residual.view());
    };
    expect_gradient(loss, a.x.view(), a.grad_x.view(), "x");
    expect_gradient(loss, a.weight.view(), a.grad_weight.view(), "weight");
    if (residual) expect_gradient(loss, a.residual.view(), a.grad_residual.view(), "residual");
  }
}

std::vector<Case> cases() {
  const int64_t widths[] = {1, 2, 3, 15, 16, 17, 63, 64, 65, 130, 768},
                rows[] = {1, 2, 64, 65, 130};
  const DType dtypes[] = {DType::f32, DType::bf16};
  std::vector<Case> cases;
  for (const auto& level : pairwise({11, 5, 2, 2, 3, 2}))
    cases.push_back({.rows = rows[level[1]],
                     .width = widths[level[0]],
                     .gap = 3 * level[2],
                     .x = dtypes[level[3]],
                     .residual = dtypes[level[4] == 2],
                     .with_residual = level[4] > 0,
                     .with_new_residual = level[5] == 1});
  EXPECT_LE(cases.size(), 60u);
  return cases;
}

TEST(RmsNorm, EveryInstructionSetMatchesReference) {
  for (const Case& c : cases()) {
    for (const Isa isa : isas()) {
      SCOPED_TRACE(::testing::Message()
                   << to_string(isa) << " rows " << c.rows << " width " << c.width);
      const IsaScope scope(isa);
      Arrays a(c);
      rms_norm(a.inputs(), a.outputs(), OddThreads(2));
      rms_norm_backward(a.inputs(), a.gradients(), OddThreads(2));
      Array<2> y = f64_like(a.y.view()), new_residual = f64_like(a.new_residual.view());
      Array<2> grad_x = f64_like(a.x.view()), grad_residual = f64_like(a.residual.view());
      Array<1> grad_weight = f64_like(a.weight.view());
      ref::rms_norm<double>(a.inputs(), {y, new_residual});
      ref::rms_norm_backward<double>(
          a.inputs(), {a.grad_y, a.grad_new_residual, grad_x, grad_weight, grad_residual});
      EXPECT_LT(error_of(a.y.view(), y.view()), 1e-5);
      EXPECT_LT(error_of(a.new_residual.view(), new_residual.view()), 1e-6);
      EXPECT_LT(error_of(a.grad_x.view(), grad_x.view()), 1e-4);
      EXPECT_LT(error_of(a.grad_residual.view(), grad_residual.view()), 1e-4);
      EXPECT_LT(error_of(a.grad_weight.view(), grad_weight.view()), 1e-4);
      EXPECT_TRUE(a.y.gaps_untouched() && a.grad_x.gaps_untouched());
    }
  }
}

// The sum that the forward pass gives stands in for x and residual.
TEST(RmsNorm, BackwardNeedsNoMoreThanTheSum) {
  for (const DType dtype : {DType::f64, DType::f32, DType::bf16}) {
    const DType wide = dtype == DType::f64 ? DType::f64 : DType::f32;
    const Case c{.rows = 70, .width = 130, .gap = 3, .x = dtype, .weight = wide, .residual = wide};
    Arrays both(c), sum(c);
    rms_norm(both.inputs(), both.outputs(), Serial());
    rms_norm_backward(both.inputs(), both.gradients(), Serial());
    rms_norm_backward({{}, both.weight, both.new_residual, 1e-5}, sum.gradients(), Serial());
    EXPECT_TRUE(sum.grad_x.same_bytes(both.grad_x));
    EXPECT_TRUE(sum.grad_residual.same_bytes(both.grad_residual));
    EXPECT_TRUE(sum.grad_weight.same_bytes(both.grad_weight));
  }
}

TEST(RmsNorm, ThreadsDoNotChangeBits) {
  const Case c{.rows = 333, .width = 130, .x = DType::bf16};
  Arrays one(c), many(c);
  rms_norm(one.inputs(), one.outputs(), Serial());
  rms_norm(many.inputs(), many.outputs(), OddThreads(3));
  rms_norm_backward(one.inputs(), one.gradients(), Serial());
  rms_norm_backward(many.inputs(), many.gradients(), OddThreads(3));
  EXPECT_TRUE(one.y.same_bytes(many.y) && one.new_residual.same_bytes(many.new_residual));
  EXPECT_TRUE(one.grad_x.same_bytes(many.grad_x));
  EXPECT_TRUE(one.grad_weight.same_bytes(many.grad_weight));
}

}  // namespace
}  // namespace adder::kernels
