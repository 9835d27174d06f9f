// causal_conv1d, the norms and linear_cross_entropy as LibTorch sees them: against LibTorch's own
// functions and autograd, in double and float.
#include <gtest/gtest.h>

#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;

std::vector<Tensor> to_float(const std::vector<Tensor>& tensors) {
  std::vector<Tensor> result;
  for (const Tensor& tensor : tensors) result.push_back(tensor.to(at::kFloat));
  return result;
}

/// Values and gradients of two functions agree: in double to 1e-10, ours in float to 1e-5 / 1e-4.
void expect_equal(const TensorFunction& ours, const TensorFunction& theirs,
                  const std::vector<Tensor>& inputs) {
  const auto narrow = to_float(inputs);
  const auto expected = theirs(inputs), exact = ours(inputs), rounded = ours(narrow);
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LT(relative_error(exact[i], expected[i]), 1e-12) << "output " << i;
    EXPECT_LT(relative_error(rounded[i], expected[i]), 1e-5) << "output " << i;
  }
  const auto expected_gradients = gradients_of(theirs, inputs);
  const auto exact_gradients = gradients_of(ours, inputs),
             rounded_gradients = gradients_of(ours, narrow);
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_LT(relative_error(exact_gradients[i], expected_gradients[i]), 1e-10) << "gradient " << i;
    EXPECT_LT(relative_error(rounded_gradients[i], expected_gradients[i]), 1e-4)
        << "gradient " << i;
  }
}

TEST(CausalConv1dOp, EqualsConv1dOfLibTorch) {
  for (const int64_t length : {1, 2, 3, 40}) {
    const std::vector<Tensor> inputs = {random_tensor({2, length, 6}, 1), random_tensor({6, 4}, 2),
                                        random_tensor({6}, 3), random_tensor({2, 3, 6}, 4)};
    expect_equal(
        [](const std::vector<Tensor>& in) {
          return call("causal_conv1d", {in[0], in[1], in[2], in[3], c10::IValue(), "silu"});
        },
        [](const std::vector<Tensor>& in) -> std::vector<Tensor> {
          const Tensor padded = at::cat({in[3], in[0]}, 1);
          const Tensor y = at::conv1d(padded.transpose(1, 2), in[1].unsqueeze(1), in[2], {1},
                                      at::IntArrayRef{0}, {1}, 6);
          return {at::silu(y).transpose(1, 2), padded.narrow(1, padded.size(1) - 3, 3)};
        },
        inputs);
  }
}

TEST(CausalConv1dOp, PackedDocumentsEqualSeparateOnes) {
  const Tensor x = random_tensor({1, 12, 5}, 1), weight = random_tensor({5, 4}, 2);
  const Tensor seq_idx = at::tensor({0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0}, at::kInt).unsqueeze(0);
  const auto conv = [&](const Tensor& part, const c10::IValue& index) {
    return call("causal_conv1d", {part, weight, c10::IValue(), c10::IValue(), index, "none"})[0];
  };
  const Tensor packed = conv(x, seq_idx);
  const Tensor apart = at::cat(
      {conv(x.narrow(1, 0, 5), {}), conv(x.narrow(1, 5, 2), {}), conv(x.narrow(1, 7, 5), {})}, 1);
  EXPECT_LT(relative_error(packed, apart), 1e-14);
}

TEST(RmsNormOp, EqualsItsFormulaWithTheResidual) {
  expect_equal(
      [](const std::vector<Tensor>& in) {
        return call("rms_norm", {in[0], in[1], 1e-5, in[2], true});
      },
      [](const std::vector<Tensor>& in) -> std::vector<Tensor> {
        const Tensor r = in[0] + in[2];
        return {r * (r.square().mean(-1, true) + 1e-5).rsqrt() * in[1], r};
      },
      {random_tensor({3, 7, 33}, 1), random_tensor({33}, 2), random_tensor({3, 7, 33}, 3)});
}

TEST(GatedRmsNormOp, EqualsItsFormulaInGroups) {
  for (const bool before : {false, true}) {
    expect_equal(
        [before](const std::vector<Tensor>& in) {
          return call("gated_rms_norm", {in[0], in[1], in[2], 1e-5, int64_t{12}, before});
        },
        [before](const std::vector<Tensor>& in) -> std::vector<Tensor> {
          const auto rms = [](const Tensor& v) {
            const Tensor groups = v.unflatten(-1, {3, 12});
            return (groups * (groups.square().mean(-1, true) + 1e-5).rsqrt()).flatten(-2);
          };
          return {before ? rms(in[0]) * in[1] * at::silu(in[2])
                         : rms(in[0] * at::silu(in[2])) * in[1]};
        },
        {random_tensor({2, 5, 36}, 1), random_tensor({36}, 2), random_tensor({2, 5, 36}, 3)});
  }
}

TEST(LinearOp, EqualsLinearOfLibTorchForAnyStrides) {
  const std::vector<Tensor> inputs = {random_tensor({3, 5, 24}, 1), random_tensor({17, 24}, 2),
                                      random_tensor({17}, 3)};
  const auto run = [](const Tensor& x, const Tensor& weight, const Tensor& bias) {
    return call("linear", {x, weight, bias});
  };
  const auto theirs = [](const std::vector<Tensor>& in) -> std::vector<Tensor> {
    return {at::linear(in[0], in[1], in[2])};
  };
  expect_equal([&](const std::vector<Tensor>& in) { return run(in[0], in[1], in[2]); }, theirs,
               inputs);
  expect_equal(
      [&](const std::vector<Tensor>& in) {
        const Tensor wide = at::cat({in[0], in[0]}, -1);  // rows with room behind them
        const Tensor tall = in[1].t().contiguous().t();   // columns before rows
        return run(wide.narrow(-1, 24, 24), tall, in[2]);
      },
      theirs, inputs);
}

TEST(LinearOp, Bfloat16AccumulatesInFloat) {
  const Tensor x = random_tensor({64, 512}, 1, at::kBFloat16),
               weight = random_tensor({32, 512}, 2, at::kBFloat16);
  const Tensor y = call("linear", {x, weight, c10::IValue()})[0];
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  const Tensor exact = at::linear(x.to(at::kDouble), weight.to(at::kDouble));
  // One rounding of the output, half an ulp: 2^-9 of each value; accumulation in bf16 would be far
  // above.
  EXPECT_LT(((y.to(at::kDouble) - exact).abs() / (exact.abs() + 0.5)).max().item<double>(),
            1.0 / 256);
}

TEST(LinearCrossEntropyOp, EqualsLogSoftmaxOfLibTorch) {
  Tensor target = at::arange(50, at::kLong).remainder(23);
  target[7] = -100;
  for (const double smoothing : {0.0, 0.1}) {
    expect_equal(
        [&](const std::vector<Tensor>& in) {
          auto out = call("linear_cross_entropy", {in[0], in[1], in[2], target, int64_t{-100}, 0.01,
                                                   smoothing, 5.0, "sum"});
          EXPECT_EQ(out[1].item<int64_t>(), 49);
          out.pop_back();
          return out;
        },
        [&](const std::vector<Tensor>& in) -> std::vector<Tensor> {
          const Tensor logits = 5.0 * at::tanh(at::linear(in[0], in[1], in[2]) / 5.0);
          const Tensor lse = at::logsumexp(logits, {-1});
          const Tensor picked = logits.gather(1, target.clamp_min(0).unsqueeze(1)).squeeze(1);
          const Tensor nll =
              lse - (1 - smoothing) * picked - smoothing * logits.mean(-1) + 0.01 * lse.square();
          return {nll.masked_fill(target.eq(-100), 0).sum()};
        },
        {random_tensor({50, 16}, 1), random_tensor({23, 16}, 2), random_tensor({23}, 3)});
  }
}

TEST(LinearCrossEntropyOp, GivesOneLossPerTokenAndRefusesWildTargets) {
  const Tensor x = random_tensor({5000, 8}, 1, at::kFloat),
               weight = random_tensor({700, 8}, 2, at::kFloat);
  Tensor target = at::arange(5000, at::kLong).remainder(700);
  const auto run = [&](const char* reduction) {
    return call("linear_cross_entropy",
                {x, weight, c10::IValue(), target, int64_t{-100}, 0.0, 0.0, 0.0, reduction})[0];
  };
  EXPECT_LT(
      relative_error(run("none"), at::cross_entropy_loss(at::linear(x, weight), target, {}, 0)),
      1e-5);
  EXPECT_NEAR(run("sum").item<double>() / run("none").sum().item<double>(), 1, 1e-6);
  target[4999] = 700;
  EXPECT_THROW(run("sum"), c10::Error);
}

}  // namespace
}  // namespace adder::ops
