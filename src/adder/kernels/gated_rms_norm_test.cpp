#include "adder/kernels/gated_rms_norm.h"

#include "adder/kernels/ref/gated_rms_norm.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels {
namespace {

using namespace testing;

/// One channel alone has almost no gradient unless eps is large.
double eps_of(int64_t channels) {
  return channels == 1 ? 0.5 : 1e-5;
}

struct Case {
  int64_t rows, group_size, groups = 1, gap = 0;
  DType x = DType::f32, weight = DType::f32;
  bool with_z = true, norm_before_gate = false;
};

/// Every array of one call; outputs are poisoned.
struct Arrays {
  Case c;
  Array<2> x, z, y, grad_y, grad_x, grad_z, normed;
  Array<1> weight, grad_weight;

  explicit Arrays(const Case& chosen) : c(chosen) {
    Rng rng(11);
    const int64_t width = c.group_size * c.groups;
    const auto rows_of = [&](DType dtype) { return Array<2>(dtype, {c.rows, width}, c.gap); };
    x = rows_of(c.x).fill(rng, 1, 0.5);
    weight = Array<1>(c.weight, {width}).fill(rng, 0.5, 1);
    grad_y = rows_of(c.x).fill(rng);
    y = rows_of(c.x);
    grad_x = rows_of(c.x);
    normed = rows_of(c.x);
    grad_weight = Array<1>(c.weight, {width});
    if (c.with_z) {
      z = rows_of(c.x).fill(rng, 2);
      grad_z = rows_of(c.x);
    }
  }
  GatedRmsNormInputs inputs() const {
    return {x, weight, z, eps_of(c.group_size), c.group_size, c.norm_before_gate};
  }
  GatedRmsNormGradients gradients() const { return {grad_y, grad_x, grad_weight, grad_z, normed}; }
};

/// x = (3, 4 | 6, 8) in two groups with rms^2 12.5 and 50; the gate of z = 0 is 0, that of ln 3 is
/// 3/4 ln 3.
TEST(GatedRmsNorm, HandComputedRow) {
  Arrays a({.rows = 1, .group_size = 2, .groups = 2, .x = DType::f64, .weight = DType::f64});
  const double x[] = {3, 4, 6, 8}, z[] = {0, std::log(3.0), 0, 0}, weight[] = {1, 2, 1, 1};
  for (int i = 0; i < 4; ++i) {
    set_at(a.x.view(), i, x[i]);
    set_at(a.z.view(), i, z[i]);
    set_at(a.weight.view(), i, weight[i]);
  }
  GatedRmsNormInputs in = a.inputs();
  in.eps = 0;
  in.norm_before_gate = true;
  gated_rms_norm(in, a.y, Serial());
  EXPECT_DOUBLE_EQ(value_at(a.y.view(), 0), 0);
  EXPECT_DOUBLE_EQ(value_at(a.y.view(), 1), 2 * 4 / std::sqrt(12.5) * 0.75 * std::log(3.0));
  in.norm_before_gate = false;
  in.eps = 1e-30;
  gated_rms_norm(in, a.y,
                 Serial());  // the first group normalises (0, v): sqrt(2) whatever v > 0 is
  EXPECT_NEAR(value_at(a.y.view(), 1), 2 * std::sqrt(2.0), 1e-14);
  in.z = {};
  gated_rms_norm(in, a.y, Serial());
  EXPECT_NEAR(value_at(a.y.view(), 2), 6 / std::sqrt(50.0), 1e-14);
}

TEST(GatedRmsNorm, GradientsMatchFiniteDifferences) {
  for (const bool with_z : {false, true}) {
    for (const bool norm_before_gate : {false, true}) {
      Arrays a({3, 4, 2, 1, DType::f64, DType::f64, with_z, norm_before_gate});
      gated_rms_norm_backward(a.inputs(), a.gradients(), Serial());
      const auto loss = [&] {
        gated_rms_norm(a.inputs(), a.y, Serial());
        return dot(a.y.view(), a.grad_y.view());
      };
      expect_gradient(loss, a.x.view(), a.grad_x.view(), "x");
      expect_gradient(loss, a.weight.view(), a.grad_weight.view(), "weight");
      if (with_z) expect_gradient(loss, a.z.view(), a.grad_z.view(), "z");
      gated_rms_norm(a.inputs(), a.y, Serial());
      EXPECT_TRUE(a.normed.same_bytes(a.y));
    }
  }
}

std::vector<Case> cases() {
  const int64_t sizes[] = {1, 2, 3, 15, 16, 17, 63, 64, 65, 130, 768}, rows[] = {1, 2, 64, 65};
  const int64_t groups[] = {1, 2, 3};
  std::vector<Case> cases;
  for (const auto& level : pairwise({11, 4, 3, 2, 2, 3})) {
    cases.push_back({.rows = rows[level[1]],
                     .group_size = sizes[level[0]],
                     .groups = groups[level[2]],
                     .gap = 5 * level[3],
                     .x = level[4] == 0 ? DType::f32 : DType::bf16,
                     .with_z = level[5] > 0,
                     .norm_before_gate = level[5] == 2});
  }
  EXPECT_LE(cases.size(), 60u);
  return cases;
}

TEST(GatedRmsNorm, EveryInstructionSetMatchesReference) {
  for (const Case& c : cases()) {
    for (const Isa isa : isas()) {
      SCOPED_TRACE(::testing::Message()
                   << to_string(isa) << " rows " << c.rows << " groups " << c.groups << " of "
                   << c.group_size << " norm_before_gate " << c.norm_before_gate);
      const IsaScope scope(isa);
      Arrays a(c);
      gated_rms_norm(a.inputs(), a.y, OddThreads(2));
      gated_rms_norm_backward(a.inputs(), a.gradients(), OddThreads(2));
      Array<2> y = f64_like(a.y.view()), grad_x = f64_like(a.x.view());
      Array<2> grad_z = f64_like(a.z.view());
      Array<1> grad_weight = f64_like(a.weight.view());
      ref::gated_rms_norm<double>(a.inputs(), y);
      ref::gated_rms_norm_backward<double>(a.inputs(), {a.grad_y, grad_x, grad_weight, grad_z});
      EXPECT_LT(error_of(a.y.view(), y.view()), 1e-5);
      EXPECT_LT(error_of(a.grad_x.view(), grad_x.view()), 1e-4);
      EXPECT_LT(error_of(a.grad_z.view(), grad_z.view()), 1e-4);
      EXPECT_LT(error_of(a.grad_weight.view(), grad_weight.view()), 1e-4);
      EXPECT_TRUE(a.y.gaps_untouched() && a.grad_x.gaps_untouched());
      EXPECT_TRUE(a.normed.same_bytes(a.y));
    }
  }
}

TEST(GatedRmsNorm, ThreadsDoNotChangeBits) {
  const Case c{.rows = 333, .group_size = 65, .groups = 2};
  Arrays one(c), many(c);
  gated_rms_norm(one.inputs(), one.y, Serial());
  gated_rms_norm(many.inputs(), many.y, OddThreads(3));
  gated_rms_norm_backward(one.inputs(), one.gradients(), Serial());
  gated_rms_norm_backward(many.inputs(), many.gradients(), OddThreads(3));
  EXPECT_TRUE(one.y.same_bytes(many.y) && one.grad_x.same_bytes(many.grad_x));
  EXPECT_TRUE(one.grad_z.same_bytes(many.grad_z));
  EXPECT_TRUE(one.grad_weight.same_bytes(many.grad_weight));
}

}  // namespace
}  // namespace adder::kernels
