// embedding against a product with one-hot rows.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;

class EmbeddingOp : public OnEachDevice {};
ADDER_ON_EACH_DEVICE(EmbeddingOp);

/// The operator in `type`, and its values and gradients against the product in double.
void expect_rows(const Tensor& weight, const Tensor& tokens, at::DeviceType device,
                 at::ScalarType type, double tolerance) {
  const int64_t rows = weight.size(0), width = weight.size(1);
  const Tensor ours = weight.to(device, at::kFloat).requires_grad_();
  const Tensor y = call("embedding", {ours, tokens.to(device), type})[0];
  ASSERT_EQ(y.scalar_type(), type);
  const Tensor one_hot = at::one_hot(tokens.reshape({-1}).to(at::kLong), rows).to(at::kDouble);
  EXPECT_LT(relative_error(y.reshape({-1, width}), one_hot.matmul(weight)), tolerance);

  const Tensor outer = random_tensor(y.sizes(), 3).to(type);
  const auto gradient = [&] {
    return torch::autograd::grad({y}, {ours}, {outer.to(device)}, /*retain_graph=*/true)[0];
  };
  const Tensor got = gradient();
  ASSERT_EQ(got.scalar_type(), at::kFloat);
  const Tensor want = one_hot.t().matmul(outer.to(at::kDouble).reshape({-1, width}));
  EXPECT_LT(relative_error(got, want), 1e-5);
  EXPECT_TRUE(at::equal(got, gradient()));
}

TEST_P(EmbeddingOp, GathersRowsAndAddsUpTheirGradients) {
  const Tensor often = at::cat({at::zeros({75}, at::kInt), at::full({200}, 6, at::kInt),
                                at::arange(30, at::kInt), at::full({31}, 29, at::kInt)});
  const Tensor shuffled = often.index({at::randperm(often.numel())});
  const std::vector<Tensor> texts = {at::tensor({3}, at::kInt).view({1, 1}),
                                     at::full({3, 32}, 5, at::kInt),
                                     at::tensor({0, 29, 0, 4, 4, 29}, at::kLong).view({2, 3}),
                                     often.view({1, -1}),
                                     shuffled.view({4, -1}),
                                     at::arange(32, at::kInt).remainder(30).view({2, 16})};
  for (const int64_t width : {1, 12, 770}) {
    for (const Tensor& tokens : texts) {
      SCOPED_TRACE(::testing::Message() << width << " " << tokens.sizes());
      const Tensor weight = random_tensor({30, width}, 1);
      expect_rows(weight, tokens, GetParam(), at::kFloat, 1e-6);
      expect_rows(weight, tokens, GetParam(), at::kBFloat16, 1.0 / 256);
    }
  }
}

TEST_P(EmbeddingOp, AWildTokenIsNeverRead) {
  if (on_cpu()) {
    EXPECT_THROW(call("embedding", {at::zeros({3, 2}), at::tensor({3}, at::kInt), at::kFloat}),
                 c10::Error);
    return;
  }
  const Tensor weight = here(at::ones({3, 2})).requires_grad_();
  const Tensor y =
      call("embedding", {weight, here(at::tensor({-7, 1, 3, 1}, at::kInt)), at::kFloat})[0];
  EXPECT_TRUE(
      at::equal(y.isnan().select(1, 0).cpu(), at::tensor({1, 0, 1, 0}, at::kInt).to(at::kBool)));
  const Tensor gradient = torch::autograd::grad({y}, {weight}, {at::ones_like(y)})[0];
  EXPECT_TRUE(at::equal(gradient.select(1, 0).cpu(), at::tensor({0.0F, 2.0F, 0.0F})));
}

}  // namespace
}  // namespace adder::ops
