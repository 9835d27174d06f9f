// rms_norm and gated_rms_norm on the device against the plain loops in double.
#include "adder/kernels/cuda/test_device.h"
#include "adder/kernels/ref/gated_rms_norm.h"
#include "adder/kernels/ref/rms_norm.h"

namespace adder::kernels {
namespace {

using namespace testing;

/// One channel alone has almost no gradient unless eps is large.
double eps_of(int64_t channels) {
  return channels == 1 ? 0.5 : 1e-5;
}

/// Widths: odd ones, some of one warp, of several, and one that needs several pieces.
constexpr int64_t kWidths[] = {1, 3, 16, 65, 128, 130, 768, 1000, 1536, 2560, 3000, 5120, 20000};

/// Fewer rows of wide ones, to bound the work of the plain loops.
int64_t rows_for(int64_t rows, int64_t width) {
  return std::min(rows, 1 + 20'000 / width);
}

struct RmsCase {
  int64_t rows, width, gap = 0;
  DType x = DType::f32, residual = DType::f32;
  bool with_residual = true, with_new_residual = true;
};

struct RmsArrays {
  Array<2> x, residual, y, new_residual, grad_y, grad_new_residual, grad_x, grad_residual;
  Array<1> weight, grad_weight;

  explicit RmsArrays(const RmsCase& c) {
    Rng rng(7);
    const auto rows_of = [&](DType dtype) { return Array<2>(dtype, {c.rows, c.width}, c.gap); };
    x = rows_of(c.x).fill(rng, 1, 0.5);
    weight = Array<1>(DType::f32, {c.width}).fill(rng, 0.5, 1);
    grad_y = rows_of(c.x).fill(rng);
    y = rows_of(c.x);
    grad_x = rows_of(c.x);
    grad_weight = Array<1>(DType::f32, {c.width});
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

  void run_on_device() {
    OnDevice on;
    const TestWork work;
    const RmsNormInputs in{on(x.view()), on(weight.view()), on(residual.view()), inputs().eps};
    EXPECT_STREQ(cuda::rms_norm(in, {on(y.view()), on(new_residual.view())}, work), nullptr);
    EXPECT_STREQ(
        cuda::rms_norm_backward(in,
                                {on(grad_y.view()), on(grad_new_residual.view()), on(grad_x.view()),
                                 on(grad_weight.view()), on(grad_residual.view())},
                                work),
        nullptr);
    on.fetch();
  }
};

std::vector<RmsCase> rms_cases() {
  const int64_t rows[] = {1, 2, 65, 1500};
  const DType dtypes[] = {DType::f32, DType::bf16};
  std::vector<RmsCase> cases;
  for (const auto& level : pairwise({13, 4, 3, 2, 3, 2}))
    cases.push_back({.rows = rows_for(rows[level[1]], kWidths[level[0]]),
                     .width = kWidths[level[0]],
                     .gap = 8 * level[2] - level[2] / 2,  // 15: nothing is aligned
                     .x = dtypes[level[3]],
                     .residual = dtypes[level[4] == 2],
                     .with_residual = level[4] > 0,
                     .with_new_residual = level[5] == 1});
  EXPECT_LE(cases.size(), 60u);
  return cases;
}

TEST(CudaRmsNorm, MatchesReference) {
  ADDER_NEEDS_DEVICE();
  for (const RmsCase& c : rms_cases()) {
    SCOPED_TRACE(::testing::Message()
                 << "rows " << c.rows << " width " << c.width << " gap " << c.gap << " x "
                 << to_string(c.x) << " residual " << to_string(c.residual) << " "
                 << c.with_residual << c.with_new_residual);
    RmsArrays a(c);
    a.run_on_device();
    Array<2> y = f64_like(a.y.view()), new_residual = f64_like(a.new_residual.view());
    Array<2> grad_x = f64_like(a.x.view()), grad_residual = f64_like(a.residual.view());
    Array<1> grad_weight = f64_like(a.weight.view());
    ref::rms_norm<double>(a.inputs(), {y, new_residual});
    ref::rms_norm_backward<double>(
        a.inputs(), {a.grad_y, a.grad_new_residual, grad_x, grad_weight, grad_residual});
    EXPECT_LT(error_of(a.y.view(), y.view()), 1e-5);
    EXPECT_LT(error_of(a.new_residual.view(), new_residual.view()), 1e-6);
    EXPECT_LT(error_of(a.grad_x.view(), grad_x.view()), 1e-5);
    EXPECT_LT(error_of(a.grad_residual.view(), grad_residual.view()), 1e-5);
    EXPECT_LT(error_of(a.grad_weight.view(), grad_weight.view()), 1e-5);
    EXPECT_TRUE(a.y.gaps_untouched() && a.grad_x.gaps_untouched());
  }
}

TEST(CudaRmsNorm, WritesOverItsInput) {
  ADDER_NEEDS_DEVICE();
  for (const int64_t width : {96, 768, 20000}) {
    RmsArrays apart({.rows = 9, .width = width, .x = DType::bf16});
    OnDevice on, in_place;
    const TestWork work;
    cuda::rms_norm({on(apart.x.view()), on(apart.weight.view()), on(apart.residual.view()), 1e-5},
                   {on(apart.y.view()), on(apart.new_residual.view())}, work);
    on.fetch();
    RmsArrays same({.rows = 9, .width = width, .x = DType::bf16});
    const View<2> x = in_place(same.x.view());
    cuda::rms_norm({x, in_place(same.weight.view()), in_place(same.residual.view()), 1e-5},
                   {x, in_place(same.new_residual.view())}, work);
    in_place.fetch();
    EXPECT_TRUE(same.x.same_bytes(apart.y) && same.new_residual.same_bytes(apart.new_residual));
  }
}

TEST(CudaRmsNorm, GradientsThatNobodyWantsAreLeftOut) {
  ADDER_NEEDS_DEVICE();
  RmsArrays all({.rows = 70, .width = 768}), some({.rows = 70, .width = 768});
  all.run_on_device();
  for (int wanted = 0; wanted < 3; ++wanted) {
    OnDevice on;
    const TestWork work;
    RmsNormGradients grads{.grad_y = on(some.grad_y.view()),
                           .grad_new_residual = on(some.grad_new_residual.view())};
    if (wanted == 0) grads.grad_x = on(some.grad_x.view());
    if (wanted == 1) grads.grad_weight = on(some.grad_weight.view());
    if (wanted == 2) grads.grad_residual = on(some.grad_residual.view());
    EXPECT_STREQ(cuda::rms_norm_backward(
                     {on(some.x.view()), on(some.weight.view()), on(some.residual.view()), 1e-5},
                     grads, work),
                 nullptr);
    on.fetch();
  }
  EXPECT_TRUE(some.grad_x.same_bytes(all.grad_x) && some.grad_weight.same_bytes(all.grad_weight));
  EXPECT_TRUE(some.grad_residual.same_bytes(all.grad_residual));
}

// The sum that the forward pass gives stands in for x and residual.
TEST(CudaRmsNorm, BackwardNeedsNoMoreThanTheSum) {
  ADDER_NEEDS_DEVICE();
  for (const int64_t width : {65, 768, 2048, 20000}) {
    const RmsCase c{.rows = 40, .width = width, .gap = width % 2, .x = DType::bf16};
    RmsArrays both(c), sum(c);
    both.run_on_device();
    OnDevice on;
    const TestWork work;
    EXPECT_STREQ(
        cuda::rms_norm_backward(
            {{}, on(both.weight.view()), on(both.new_residual.view()), 1e-5},
            {on(sum.grad_y.view()), on(sum.grad_new_residual.view()), on(sum.grad_x.view()),
             on(sum.grad_weight.view()), on(sum.grad_residual.view())},
            work),
        nullptr);
    on.fetch();
    EXPECT_TRUE(sum.grad_x.same_bytes(both.grad_x)) << width;
    EXPECT_TRUE(sum.grad_residual.same_bytes(both.grad_residual)) << width;
    EXPECT_TRUE(sum.grad_weight.same_bytes(both.grad_weight)) << width;
  }
}

TEST(CudaRmsNorm, RepeatsBitForBit) {
  ADDER_NEEDS_DEVICE();
  const RmsCase c{.rows = 5000, .width = 64, .x = DType::bf16};
  RmsArrays once(c), again(c);
  once.run_on_device();
  again.run_on_device();
  EXPECT_TRUE(once.y.same_bytes(again.y) && once.grad_x.same_bytes(again.grad_x));
  EXPECT_TRUE(once.grad_weight.same_bytes(again.grad_weight));
}

struct GatedCase {
  int64_t rows, group_size, groups = 1, gap = 0;
  DType x = DType::f32;
  bool with_z = true, norm_before_gate = false;
};

struct GatedArrays {
  GatedCase c;
  Array<2> x, z, y, grad_y, grad_x, grad_z, normed;
  Array<1> weight, grad_weight;

  explicit GatedArrays(const GatedCase& chosen) : c(chosen) {
    Rng rng(11);
    const int64_t width = c.group_size * c.groups;
    const auto rows_of = [&](DType dtype) { return Array<2>(dtype, {c.rows, width}, c.gap); };
    x = rows_of(c.x).fill(rng, 1, 0.5);
    weight = Array<1>(DType::f32, {width}).fill(rng, 0.5, 1);
    grad_y = rows_of(c.x).fill(rng);
    y = rows_of(c.x);
    grad_x = rows_of(c.x);
    normed = rows_of(c.x);
    grad_weight = Array<1>(DType::f32, {width});
    if (c.with_z) {
      z = rows_of(c.x).fill(rng, 2);
      grad_z = rows_of(c.x);
    }
  }
  GatedRmsNormInputs inputs() const {
    return {x, weight, z, eps_of(c.group_size), c.group_size, c.norm_before_gate};
  }

  void run_on_device() {
    OnDevice on;
    const TestWork work;
    GatedRmsNormInputs in = inputs();
    in.x = on(in.x), in.weight = on(in.weight), in.z = on(in.z);
    EXPECT_STREQ(cuda::gated_rms_norm(in, on(y.view()), work), nullptr);
    EXPECT_STREQ(
        cuda::gated_rms_norm_backward(in,
                                      {on(grad_y.view()), on(grad_x.view()), on(grad_weight.view()),
                                       on(grad_z.view()), on(normed.view())},
                                      work),
        nullptr);
    on.fetch();
  }
};

std::vector<GatedCase> gated_cases() {
  const int64_t rows[] = {1, 2, 65, 1100}, groups[] = {1, 2, 3};
  std::vector<GatedCase> cases;
  for (const auto& level : pairwise({13, 4, 3, 3, 2, 3})) {
    cases.push_back({.rows = rows_for(rows[level[1]], kWidths[level[0]]),
                     .group_size = kWidths[level[0]],
                     .groups = groups[level[2]],
                     .gap = 8 * level[3] - level[3] / 2,
                     .x = level[4] == 0 ? DType::f32 : DType::bf16,
                     .with_z = level[5] > 0,
                     .norm_before_gate = level[5] == 2});
  }
  EXPECT_LE(cases.size(), 60u);
  return cases;
}

TEST(CudaGatedRmsNorm, MatchesReference) {
  ADDER_NEEDS_DEVICE();
  for (const GatedCase& c : gated_cases()) {
    SCOPED_TRACE(::testing::Message()
                 << "rows " << c.rows << " groups " << c.groups << " of " << c.group_size << " gap "
                 << c.gap << " " << to_string(c.x) << " z " << c.with_z << " norm_before_gate "
                 << c.norm_before_gate);
    GatedArrays a(c);
    a.run_on_device();
    Array<2> y = f64_like(a.y.view()), grad_x = f64_like(a.x.view());
    Array<2> grad_z = f64_like(a.z.view());
    Array<1> grad_weight = f64_like(a.weight.view());
    ref::gated_rms_norm<double>(a.inputs(), y);
    ref::gated_rms_norm_backward<double>(a.inputs(), {a.grad_y, grad_x, grad_weight, grad_z});
    EXPECT_LT(error_of(a.y.view(), y.view()), 1e-5);
    EXPECT_LT(error_of(a.normed.view(), y.view()), 1e-5);
    EXPECT_LT(error_of(a.grad_x.view(), grad_x.view()), 1e-5);
    EXPECT_LT(error_of(a.grad_z.view(), grad_z.view()), 1e-5);
    EXPECT_LT(error_of(a.grad_weight.view(), grad_weight.view()), 1e-5);
    EXPECT_TRUE(a.y.gaps_untouched() && a.grad_x.gaps_untouched());
  }
}

TEST(CudaGatedRmsNorm, GivesYOnceMoreWithoutChangingTheGradients) {
  ADDER_NEEDS_DEVICE();
  const GatedCase c{.rows = 300, .group_size = 1536, .x = DType::bf16};
  GatedArrays all(c), some(c);
  all.run_on_device();
  OnDevice on;
  const TestWork work;
  GatedRmsNormInputs in = some.inputs();
  in.x = on(in.x), in.weight = on(in.weight), in.z = on(in.z);
  EXPECT_STREQ(cuda::gated_rms_norm_backward(in,
                                             {on(some.grad_y.view()), on(some.grad_x.view()),
                                              on(some.grad_weight.view()), on(some.grad_z.view())},
                                             work),
               nullptr);
  on.fetch();
  EXPECT_TRUE(some.grad_x.same_bytes(all.grad_x) && some.grad_z.same_bytes(all.grad_z));
  EXPECT_TRUE(some.grad_weight.same_bytes(all.grad_weight));
}

TEST(CudaGatedRmsNorm, RepeatsBitForBit) {
  ADDER_NEEDS_DEVICE();
  const GatedCase c{.rows = 3000, .group_size = 24, .groups = 4, .x = DType::bf16};
  GatedArrays once(c), again(c);
  once.run_on_device();
  again.run_on_device();
  EXPECT_TRUE(once.y.same_bytes(again.y) && once.grad_x.same_bytes(again.grad_x));
  EXPECT_TRUE(once.grad_z.same_bytes(again.grad_z));
  EXPECT_TRUE(once.grad_weight.same_bytes(again.grad_weight));
}

}  // namespace
}  // namespace adder::kernels
