// AdamW on a device against LibTorch's fused update on the CPU.
#include "adder/ops/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "adder/ops/device.h"
#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;

constexpr double kUnlimited = std::numeric_limits<double>::infinity();

class AdamwOnDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    if (!load_cuda(why)) GTEST_SKIP() << "skipped: no device: " << why;
    int64_t seed = 0;
    for (const int64_t size : {1, 70, 40000}) {
      AdamwParameter p;
      p.parameter = random_tensor({size}, ++seed, at::kFloat).to(at::kCUDA);
      p.mean = at::zeros_like(p.parameter);
      p.square = at::zeros_like(p.parameter);
      p.gradient = random_tensor({size}, ++seed, at::kFloat).to(at::kCUDA);
      p.copy = at::zeros_like(p.parameter, at::kBFloat16);
      p.decay = 0.1;
      parameters_.push_back(p);
    }
    board_ = adamw_board(at::Device(at::kCUDA, 0));
  }

  kernels::AdamwReport step(int t, double loss, double clip = 1, double limit = kUnlimited) {
    set(board_, {.lr = 1e-2,
                 .bias1 = 1 - std::pow(0.9, t),
                 .bias2 = 1 - std::pow(0.95, t),
                 .clip = clip,
                 .loss_limit = limit});
    loss_of(board_).fill_(loss);
    gradient_norm(parameters_, board_);
    adamw(parameters_, {}, board_);
    return read(board_);
  }

  std::vector<AdamwParameter> parameters_;
  AdamwBoard board_;
};

TEST_F(AdamwOnDevice, EqualsTheFusedUpdateOfLibTorch) {
  std::vector<Tensor> w, g, m, v, steps;
  double squares = 0;
  for (const AdamwParameter& p : parameters_) {
    w.push_back(p.parameter.cpu());
    g.push_back(p.gradient.cpu());
    m.push_back(at::zeros_like(w.back()));
    v.push_back(at::zeros_like(w.back()));
    steps.push_back(at::zeros({}, at::kFloat));
    squares += g.back().to(at::kDouble).square().sum().item<double>();
  }
  const double norm = std::sqrt(squares);
  for (int t = 1; t <= 3; ++t) {
    const auto report = step(t, 2.5);
    EXPECT_NEAR(report.norm / norm, 1, 1e-12);
    EXPECT_EQ(report.loss, 2.5);
    EXPECT_EQ(report.applied, 1);
    for (Tensor& count : steps) count.fill_(t);
    auto scaled = g;  // the update divides them in place
    for (Tensor& gradient : scaled) gradient = gradient.clone();
    at::_fused_adamw_(w, scaled, m, v, {}, steps, 1e-2, 0.9, 0.95, 0.1, 1e-8, false, false,
                      at::full({}, norm, at::kFloat));
  }
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_LT(relative_error(parameters_[i].parameter.cpu(), w[i]), 1e-6) << i;
    EXPECT_LT(relative_error(parameters_[i].mean.cpu(), m[i]), 1e-6) << i;
    EXPECT_LT(relative_error(parameters_[i].square.cpu(), v[i]), 1e-6) << i;
    EXPECT_TRUE(parameters_[i].copy.equal(parameters_[i].parameter.to(at::kBFloat16))) << i;
  }
}

TEST_F(AdamwOnDevice, LeavesBadStepsOut) {
  const Tensor before = parameters_[2].parameter.clone();
  EXPECT_EQ(step(1, 2, 1, 1.9).applied, 0);
  EXPECT_EQ(step(1, std::numeric_limits<double>::quiet_NaN()).applied, 0);
  EXPECT_TRUE(parameters_[2].parameter.equal(before));
  parameters_[0].gradient = Tensor();
  parameters_[2].gradient = parameters_[2].gradient.to(at::kBFloat16);
  EXPECT_EQ(step(1, 2).applied, 1);
  EXPECT_FALSE(parameters_[2].parameter.equal(before));
}

TEST_F(AdamwOnDevice, RefusesWhatDoesNotFit) {
  const AdamwParameter good = parameters_[1];
  parameters_[1].mean = at::zeros({71}, good.mean.options());
  EXPECT_THROW(adamw(parameters_, {}, board_), c10::Error);
  parameters_[1] = good;
  parameters_[1].square = good.square.cpu();
  EXPECT_THROW(adamw(parameters_, {}, board_), c10::Error);
  parameters_[1] = good;
  parameters_[1].gradient = good.gradient.to(at::kDouble);
  EXPECT_THROW(gradient_norm(parameters_, board_), c10::Error);
}

}  // namespace
}  // namespace adder::ops
