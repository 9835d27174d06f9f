// causal_attention against the formula in double.
#include "adder/ops/causal_attention.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

class CausalAttentionOp : public OnEachDevice {};
ADDER_ON_EACH_DEVICE(CausalAttentionOp);

/// Heads (batch, length, heads, head_dim), in double.
Tensor plain_attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale) {
  const auto rows = [](const Tensor& heads) { return heads.transpose(1, 2); };
  const Tensor scores = rows(q).matmul(rows(k).transpose(-1, -2)) * scale;
  const Tensor later = at::ones_like(scores, at::kBool).triu(1);
  return rows(scores.masked_fill(later, -INFINITY).softmax(-1).matmul(rows(v)));
}

TEST_P(CausalAttentionOp, EqualsTheFormulaTwice) {
  constexpr int64_t kLength = 640, kHeads = 2, kDim = 64;
  constexpr double kScale = 0.2;
  // v is a part of a wider matrix, as where a projection gives it.
  const Tensor wide = here(random_tensor({2, kLength, kHeads, 3 * kDim}, 1, at::kBFloat16));
  const auto part = [&](int64_t i) { return wide.narrow(-1, i * kDim, kDim); };
  const std::vector<Tensor> inputs = {part(0).contiguous().requires_grad_(),
                                      part(1).contiguous().requires_grad_(),
                                      part(2).detach().requires_grad_()};
  const Tensor outer = here(random_tensor({2, kLength, kHeads, kDim}, 2, at::kBFloat16));
  at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
  const auto run = [&]() -> std::vector<Tensor> {
    const auto y = causal_attention(inputs[0], inputs[1], inputs[2], kScale);
    if (!y) return {};
    std::vector<Tensor> all = torch::autograd::grad({*y}, inputs, {outer});
    all.insert(all.begin(), y->detach());
    return all;
  };
  const std::vector<Tensor> ours = run(), again = run();
  at::globalContext().setDeterministicAlgorithms(false, /*warn_only=*/false);
  if (on_cpu()) {
    EXPECT_TRUE(ours.empty());
    return;
  }
  if (ours.empty()) GTEST_SKIP() << "skipped: only on a Hopper device";

  std::vector<Tensor> exact;
  for (const Tensor& input : inputs)
    exact.push_back(input.detach().to(at::kCPU, at::kDouble).requires_grad_());
  const Tensor y = plain_attention(exact[0], exact[1], exact[2], kScale);
  std::vector<Tensor> want = torch::autograd::grad({y}, exact, {outer.to(at::kCPU, at::kDouble)});
  want.insert(want.begin(), y.detach());
  for (size_t i = 0; i < want.size(); ++i) {
    EXPECT_LT(relative_error(ours[i], want[i]), 1.0 / 64) << i;
    EXPECT_TRUE(at::equal(ours[i], again[i])) << i;
  }
}

TEST_P(CausalAttentionOp, LeavesTheOthersAlone) {
  const auto heads = [&](int64_t length, int64_t count, at::ScalarType type, bool trained) {
    return here(at::zeros({1, length, count, 64}, type)).requires_grad_(trained);
  };
  const auto taken = [](const Tensor& q, const Tensor& k) {
    return causal_attention(q, k, k, 1).has_value();
  };
  const Tensor plain = heads(512, 4, at::kFloat, true), shared = heads(512, 2, at::kBFloat16, true),
               q = heads(512, 4, at::kBFloat16, true),
               untrained = heads(512, 4, at::kBFloat16, false),
               brief = heads(511, 4, at::kBFloat16, true);
  EXPECT_FALSE(taken(plain, plain));
  EXPECT_FALSE(taken(q, shared));
  EXPECT_FALSE(taken(untrained, untrained));
  EXPECT_FALSE(taken(brief, brief));
}

}  // namespace
}  // namespace adder::ops
