// causal_conv1d, the norms and linear_cross_entropy as LibTorch sees them: against LibTorch's own
// functions and autograd, in double and float.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;

class CausalConv1dOp : public OnEachDevice {};
class RmsNormOp : public OnEachDevice {};
class GatedRmsNormOp : public OnEachDevice {};
class LinearOp : public OnEachDevice {};
class LinearCrossEntropyOp : public OnEachDevice {};
ADDER_ON_EACH_DEVICE(CausalConv1dOp);
ADDER_ON_EACH_DEVICE(RmsNormOp);
ADDER_ON_EACH_DEVICE(GatedRmsNormOp);
ADDER_ON_EACH_DEVICE(LinearOp);
ADDER_ON_EACH_DEVICE(LinearCrossEntropyOp);

TEST_P(CausalConv1dOp, EqualsConv1dOfLibTorch) {
  for (const int64_t length : {1, 2, 3, 40}) {
    const std::vector<Tensor> inputs = {random_tensor({2, length, 6}, 1), random_tensor({6, 4}, 2),
                                        random_tensor({6}, 3), random_tensor({2, 3, 6}, 4)};
    expect_equal(
        GetParam(),
        [](const std::vector<Tensor>& in) {
          return call("causal_conv1d", {in[0], in[1], in[2], in[3], c10::IValue(), "silu"});
        },
        [](const std::vector<Tensor>& in) -> std::vector<Tensor> {
          const Tensor padded = at::cat({in[3], in[0]}, 1);
          const Tensor y = at::conv1d(padded.transpose(1, 2), in[1].unsqueeze(1), in[2], {1},
                                      at::IntArrayRef{0}, {1}, 6);
          return {at::silu(y).transpose(1, 2), padded.narrow(1, padded.size(1) - 3, 3)};
        },
        inputs, {1, 2});
  }
}

TEST_P(CausalConv1dOp, PackedDocumentsEqualSeparateOnes) {
  const Tensor documents = at::tensor({0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0}, at::kInt).unsqueeze(0);
  const auto conv = [](const Tensor& x, const Tensor& weight, const c10::IValue& seq_idx) {
    return call("causal_conv1d", {x, weight, c10::IValue(), c10::IValue(), seq_idx, "none"})[0];
  };
  expect_equal(
      GetParam(),
      [&](const std::vector<Tensor>& in) -> std::vector<Tensor> {
        return {conv(in[0], in[1], here(documents))};
      },
      [&](const std::vector<Tensor>& in) -> std::vector<Tensor> {
        const auto part = [&](int64_t begin, int64_t length) {
          return conv(in[0].narrow(1, begin, length), in[1], {});
        };
        return {at::cat({part(0, 5), part(5, 2), part(7, 5)}, 1)};
      },
      {random_tensor({1, 12, 5}, 1), random_tensor({5, 4}, 2)}, {1});
}

/// As the mixer calls it: x is a slice of the projection's rows.
TEST_P(CausalConv1dOp, TakesSlicesOfAMatrix) {
  for (const int64_t offset : {0, 1, 64}) {
    const auto conv = [](const Tensor& x, const Tensor& weight) {
      return call("causal_conv1d",
                  {x, weight, c10::IValue(), c10::IValue(), c10::IValue(), "silu"});
    };
    expect_equal(
        GetParam(),
        [&](const std::vector<Tensor>& in) { return conv(in[0].narrow(2, offset, 128), in[1]); },
        [&](const std::vector<Tensor>& in) {
          return conv(in[0].narrow(2, offset, 128).contiguous(), in[1]);
        },
        {random_tensor({2, 33, 200}, 1), random_tensor({128, 4}, 2)}, {1});
  }
}

TEST_P(CausalConv1dOp, StepsEqualTheSequence) {
  const Tensor x = here(random_tensor({2, 9, 6}, 1, at::kFloat)),
               weight = here(random_tensor({6, 4}, 2, at::kFloat)),
               bias = here(random_tensor({6}, 3, at::kFloat)),
               slots = here(at::tensor({2, 0}, at::kInt));
  const auto whole = call("causal_conv1d", {x, weight, bias, c10::IValue(), c10::IValue(), "silu"});
  const Tensor pool = at::zeros({3, 3, 6}, x.options());
  for (int64_t t = 0; t < x.size(1); ++t) {
    const auto y =
        call("causal_conv1d_update", {pool, x.select(1, t), weight, bias, slots, "silu"});
    EXPECT_LT(relative_error(y[0], whole[0].select(1, t)), 1e-5) << "token " << t;
  }
  EXPECT_TRUE(at::equal(pool.select(0, 2), whole[1].select(0, 0)));
  EXPECT_TRUE(at::equal(pool.select(0, 0), whole[1].select(0, 1)));
  EXPECT_EQ(pool.select(0, 1).abs().max().item<float>(), 0);
}

TEST_P(RmsNormOp, EqualsItsFormulaWithTheResidual) {
  expect_equal(
      GetParam(),
      [](const std::vector<Tensor>& in) {
        return call("rms_norm", {in[0], in[1], 1e-5, in[2], true});
      },
      [](const std::vector<Tensor>& in) -> std::vector<Tensor> {
        const Tensor r = in[0] + in[2];
        return {r * (r.square().mean(-1, true) + 1e-5).rsqrt() * in[1], r};
      },
      {random_tensor({3, 7, 33}, 1), random_tensor({33}, 2), random_tensor({3, 7, 33}, 3)}, {1});
}

/// Is the memory of a tensor kept by anyone else?
bool kept(const Tensor& tensor) {
  return tensor.use_count() > 1 || tensor.storage().use_count() > 1;
}

/// One that came from another and so is in no one's hands yet.
Tensor passing(const Tensor& leaf) {
  return leaf.detach().set_requires_grad(true).mul(2);
}

// With a residual, which is what every block but the first has, the sum is kept and nothing else.
TEST_P(RmsNormOp, KeepsTheSumForTheBackwardPass) {
  const Tensor weight = here(random_tensor({8}, 2, at::kFloat)).set_requires_grad(true);
  for (const bool with_residual : {true, false}) {
    const Tensor x = passing(here(random_tensor({5, 8}, 1, at::kBFloat16))),
                 residual = passing(here(random_tensor({5, 8}, 3, at::kFloat)));
    const auto out = call(
        "rms_norm", {x, weight, 1e-5, with_residual ? c10::IValue(residual) : c10::IValue(), true});
    EXPECT_NE(kept(x), with_residual);
    EXPECT_FALSE(kept(residual));
    EXPECT_EQ(kept(out[1]), with_residual);
  }
}

TEST_P(RmsNormOp, GivesGradientsOfTheSumAlone) {
  const Tensor weight = here(random_tensor({8}, 2, at::kFloat)).set_requires_grad(true),
               x = here(random_tensor({5, 8}, 1, at::kBFloat16)).set_requires_grad(true),
               residual = here(random_tensor({5, 8}, 3, at::kFloat)).set_requires_grad(true);
  const Tensor sum = call("rms_norm", {x, weight, 1e-5, residual, true})[1];
  const auto gradients =
      torch::autograd::grad({sum}, {x, weight, residual}, {at::full_like(sum, 3)});
  EXPECT_TRUE(at::equal(gradients[0], at::full_like(x, 3)));
  EXPECT_TRUE(at::equal(gradients[1], at::zeros_like(weight)));
  EXPECT_TRUE(at::equal(gradients[2], at::full_like(residual, 3)));
}

TEST_P(GatedRmsNormOp, EqualsItsFormulaInGroups) {
  for (const bool before : {false, true}) {
    expect_equal(
        GetParam(),
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
        {random_tensor({2, 5, 36}, 1), random_tensor({36}, 2), random_tensor({2, 5, 36}, 3)}, {1});
  }
}

TEST_P(GatedRmsNormOp, WithAProductEqualsOneAfterTheOther) {
  const auto norm_arguments = [](const std::vector<Tensor>& in, bool before) {
    return std::vector<c10::IValue>{in[0], in[1], in[2], 1e-5, int64_t{12}, before};
  };
  for (const bool before : {false, true}) {
    const TensorFunction one = [&](const std::vector<Tensor>& in) {
      auto arguments = norm_arguments(in, before);
      arguments.insert(arguments.end(), {in[3], in[4]});
      return call("gated_rms_norm_linear", arguments);
    };
    const TensorFunction two = [&](const std::vector<Tensor>& in) {
      const Tensor normed = call("gated_rms_norm", norm_arguments(in, before))[0];
      return call("linear", {normed, in[3], in[4]});
    };
    const std::vector<Tensor> inputs = {random_tensor({2, 5, 36}, 1), random_tensor({36}, 2),
                                        random_tensor({2, 5, 36}, 3), random_tensor({7, 36}, 4),
                                        random_tensor({7}, 5)};
    expect_equal(GetParam(), one, two, inputs, {1});
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      std::vector<Tensor> here_now;
      for (size_t i = 0; i < inputs.size(); ++i)
        here_now.push_back(here(inputs[i].to(i == 1 ? at::kFloat : type)));
      EXPECT_TRUE(at::equal(one(here_now)[0], two(here_now)[0]));
      const auto got = gradients_of(one, here_now), want = gradients_of(two, here_now);
      for (size_t i = 0; i < got.size(); ++i) {
        // A device sums the squares in another order backward: what the matrix is multiplied with
        // may be rounded otherwise.
        if (i == 3 && !on_cpu())
          EXPECT_LT(relative_error(got[i], want[i]), 1.0 / 256);
        else
          EXPECT_TRUE(at::equal(got[i], want[i])) << "gradient " << i << " " << type;
      }
    }
  }
}

TEST_P(GatedRmsNormOp, WithAProductKeepsNothingInBetween) {
  const auto random = [&](at::IntArrayRef sizes, at::ScalarType type) {
    return passing(here(random_tensor(sizes, 1, type)));
  };
  const Tensor x = random({5, 8}, at::kBFloat16), weight = random({8}, at::kFloat),
               z = random({5, 8}, at::kBFloat16), matrix = random({3, 8}, at::kBFloat16);
  const Tensor y = call("gated_rms_norm_linear",
                        {x, weight, z, 1e-5, int64_t{8}, false, matrix, c10::IValue()})[0];
  EXPECT_TRUE(kept(x) && kept(z) && kept(matrix));
  EXPECT_FALSE(kept(y));
}

TEST_P(GatedRmsNormOp, WithAProductRefusesAMatrixThatDoesNotFit) {
  const Tensor x = here(random_tensor({5, 8}, 1, at::kFloat)), weight = at::ones({8}, x.options());
  const auto with = [&](const Tensor& matrix) {
    call("gated_rms_norm_linear",
         {x, weight, c10::IValue(), 1e-5, int64_t{8}, false, matrix, c10::IValue()});
  };
  EXPECT_THROW(with(at::ones({3, 9}, x.options())), c10::Error);
  EXPECT_THROW(with(at::ones({3, 8}, x.options().dtype(at::kBFloat16))), c10::Error);
}

TEST_P(LinearOp, EqualsLinearOfLibTorchForAnyStrides) {
  const std::vector<Tensor> inputs = {random_tensor({3, 5, 24}, 1), random_tensor({17, 24}, 2),
                                      random_tensor({17}, 3)};
  const auto run = [](const Tensor& x, const Tensor& weight, const Tensor& bias) {
    return call("linear", {x, weight, bias});
  };
  const auto theirs = [](const std::vector<Tensor>& in) -> std::vector<Tensor> {
    return {at::linear(in[0], in[1], in[2])};
  };
  expect_equal(
      GetParam(), [&](const std::vector<Tensor>& in) { return run(in[0], in[1], in[2]); }, theirs,
      inputs);
  expect_equal(
      GetParam(),
      [&](const std::vector<Tensor>& in) {
        const Tensor wide = at::cat({in[0], in[0]}, -1);  // rows with room behind them
        const Tensor tall = in[1].t().contiguous().t();   // columns before rows
        return run(wide.narrow(-1, 24, 24), tall, in[2]);
      },
      theirs, inputs);
}

TEST_P(LinearOp, Bfloat16AccumulatesInFloat) {
  const Tensor x = here(random_tensor({64, 512}, 1, at::kBFloat16)),
               weight = here(random_tensor({32, 512}, 2, at::kBFloat16));
  const Tensor y = call("linear", {x, weight, c10::IValue()})[0];
  EXPECT_EQ(y.scalar_type(), at::kBFloat16);
  const Tensor exact = at::linear(x.to(at::kDouble), weight.to(at::kDouble));
  // One rounding of the output, half an ulp: 2^-9 of each value; accumulation in bf16 would be far
  // above.
  EXPECT_LT(((y.to(at::kDouble) - exact).abs() / (exact.abs() + 0.5)).max().item<double>(),
            1.0 / 256);
}

TEST_P(LinearCrossEntropyOp, EqualsLogSoftmaxOfLibTorch) {
  Tensor target = at::arange(50, at::kLong).remainder(23);
  target[7] = -100;
  for (const double smoothing : {0.0, 0.1}) {
    expect_equal(
        GetParam(),
        [&](const std::vector<Tensor>& in) {
          auto out = call("linear_cross_entropy", {in[0], in[1], in[2], here(target), int64_t{-100},
                                                   0.01, smoothing, 5.0, "sum"});
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

TEST_P(LinearCrossEntropyOp, GivesOneLossPerTokenAndRefusesWildTargets) {
  const Tensor x = here(random_tensor({5000, 8}, 1, at::kFloat)),
               weight = here(random_tensor({700, 8}, 2, at::kFloat));
  Tensor target = here(at::arange(5000, at::kLong).remainder(700));
  const auto run = [&](const char* reduction) {
    return call("linear_cross_entropy",
                {x, weight, c10::IValue(), target, int64_t{-100}, 0.0, 0.0, 0.0, reduction})[0];
  };
  EXPECT_LT(
      relative_error(run("none"), at::cross_entropy_loss(at::linear(x, weight), target, {}, 0)),
      1e-5);
  EXPECT_NEAR(run("sum").item<double>() / run("none").sum().item<double>(), 1, 1e-6);
  target[4999] = 700;
  if (on_cpu()) {
    EXPECT_THROW(run("sum"), c10::Error);
  } else {
    EXPECT_TRUE(std::isnan(run("sum").item<double>()));  // a device does not stop to look
  }
}

}  // namespace
}  // namespace adder::ops
