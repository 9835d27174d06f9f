// linear_cross_entropy on a device against the same in double on the CPU.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>

#include "adder/ops/device.h"
#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;

struct HeadOptions {
  double z_loss = 0, label_smoothing = 0, softcap = 0;
  const char* reduction = "sum";
};

class LinearCrossEntropyOnDevice : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string why;
    if (!load_cuda(why)) GTEST_SKIP() << "skipped: no device: " << why;
  }

  /// Every seventh target is ignored.
  static Tensor targets(int64_t tokens, int64_t vocab) {
    Tensor target = (at::arange(tokens, at::kLong) * 7919).remainder(vocab);
    return target.masked_fill(at::arange(tokens).remainder(7).eq(3), -100);
  }

  static TensorFunction head(const Tensor& target, const HeadOptions& options) {
    return [=](const std::vector<Tensor>& in) {
      const c10::IValue bias = in.size() > 2 ? c10::IValue(in[2]) : c10::IValue();
      return call("linear_cross_entropy",
                  {in[0], in[1], bias, target.to(in[0].device()), int64_t{-100}, options.z_loss,
                   options.label_smoothing, options.softcap, options.reduction});
    };
  }

  static std::vector<Tensor> on_device(const std::vector<Tensor>& tensors) {
    std::vector<Tensor> result;
    for (const Tensor& tensor : tensors) result.push_back(tensor.to(at::kCUDA));
    return result;
  }

  /// x, weight, bias: values of `type`.
  static std::vector<Tensor> inputs(int64_t tokens, int64_t d_model, int64_t vocab,
                                    at::ScalarType type, bool bias = true) {
    std::vector<Tensor> in = {random_tensor({tokens, d_model}, 1),
                              random_tensor({vocab, d_model}, 2) * 0.3};
    if (bias) in.push_back(random_tensor({vocab}, 3));
    return cast(in, type);
  }

  /// In f32 near the exact values; in bf16 as near as the operator on the CPU, which rounds at the
  /// same places.
  static void expect_equal(const TensorFunction& head, const std::vector<Tensor>& in) {
    const std::vector<Tensor> exact = cast(in, at::kDouble);
    const auto want = head(exact), got = head(on_device(in));
    EXPECT_LT(relative_error(got[0].cpu(), want[0]), 1e-5);
    EXPECT_EQ(got[1].item<int64_t>(), want[1].item<int64_t>());
    const auto want_gradients = gradients_of(losses(head), exact),
               cpu_gradients = rounded_gradients(head, in),
               got_gradients = gradients_of(losses(head), on_device(in));
    const bool narrow = in[0].scalar_type() == at::kBFloat16;
    for (size_t i = 0; i < in.size(); ++i) {
      EXPECT_EQ(got_gradients[i].scalar_type(), in[i].scalar_type());
      EXPECT_LT(rms_error(got_gradients[i].cpu(), want_gradients[i]),
                narrow ? 1.5 * rms_error(cpu_gradients[i], want_gradients[i]) : 1e-5)
          << "gradient " << i;
    }
  }

  /// On the CPU, where the bias is one more column of the weight: so the gradients of the logits
  /// are rounded before they come to it.
  static std::vector<Tensor> rounded_gradients(const TensorFunction& head,
                                               const std::vector<Tensor>& in) {
    if (in.size() < 3) return gradients_of(losses(head), in);
    const int64_t width = in[0].size(1);
    const Tensor ones = at::ones({in[0].size(0), 1}, in[0].options());
    const auto found = gradients_of(
        losses(head), {at::cat({in[0], ones}, 1), at::cat({in[1], in[2].unsqueeze(1)}, 1)});
    return {found[0].narrow(1, 0, width), found[1].narrow(1, 0, width), found[1].select(1, width)};
  }

  static double rms_error(const Tensor& a, const Tensor& b) {
    return ((a.to(at::kDouble) - b).norm() / b.norm()).item<double>();
  }

  /// The losses alone, on the CPU, where they are projected.
  static TensorFunction losses(const TensorFunction& head) {
    return
        [=](const std::vector<Tensor>& in) -> std::vector<Tensor> { return {head(in)[0].cpu()}; };
  }
};

TEST_F(LinearCrossEntropyOnDevice, EqualsTheCpuInDouble) {
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t vocab : {64, 1003}) {
      for (const char* reduction : {"sum", "none"}) {
        for (const bool bias : {false, true}) {
          SCOPED_TRACE(::testing::Message() << type << " vocab " << vocab << " reduction "
                                            << reduction << " bias " << bias);
          const HeadOptions options{.z_loss = 0.01,
                                    .label_smoothing = 0.1,
                                    .softcap = bias ? 5.0 : 0.0,
                                    .reduction = reduction};
          expect_equal(head(targets(300, vocab), options), inputs(300, 48, vocab, type, bias));
        }
      }
    }
  }
}

/// More tokens than one tile takes, and a last tile that is not full.
TEST_F(LinearCrossEntropyOnDevice, TilesMakeNoDifference) {
  for (const auto type : {at::kFloat, at::kBFloat16})
    expect_equal(head(targets(4500, 130), {}), inputs(4500, 16, 130, type));
}

TEST_F(LinearCrossEntropyOnDevice, NoTokens) {
  const auto in = on_device(inputs(0, 8, 20, at::kBFloat16));
  const auto run = head(targets(0, 20), {});
  EXPECT_EQ(run(in)[0].item<double>(), 0);
  EXPECT_EQ(gradients_of(losses(run), in)[1].abs().max().item<double>(), 0);
}

TEST_F(LinearCrossEntropyOnDevice, TheSameBitsWithAndWithoutGradients) {
  auto in = on_device(inputs(2500, 32, 515, at::kBFloat16));
  const auto run = head(targets(2500, 515), {});
  const Tensor plain = run(in)[0];
  const auto first = gradients_of(losses(run), in), again = gradients_of(losses(run), in);
  for (size_t i = 0; i < in.size(); ++i) EXPECT_TRUE(first[i].equal(again[i])) << i;
  for (Tensor& tensor : in) tensor.set_requires_grad(true);
  const Tensor recorded = run(in)[0];
  EXPECT_TRUE(recorded.requires_grad());
  EXPECT_FALSE(plain.requires_grad());
  EXPECT_TRUE(recorded.equal(plain));
}

/// The gradients are linear in that of the loss, and a kept graph may be asked twice.
TEST_F(LinearCrossEntropyOnDevice, ScalesItsGradients) {
  auto in = on_device(inputs(100, 32, 64, at::kFloat));
  in[0].set_requires_grad(true);
  in[2].set_requires_grad(true);  // and the weight is left alone
  const Tensor loss = head(targets(100, 64), {})(in)[0];
  const auto one = torch::autograd::grad({loss}, {in[0], in[2]}, {}, true);
  const auto three = torch::autograd::grad({loss}, {in[0], in[2]}, {at::full_like(loss, 3)});
  for (const int i : {0, 1}) EXPECT_LT(relative_error(three[i], 3 * one[i]), 1e-6);
  EXPECT_THROW(torch::autograd::grad({loss}, {in[0]}), c10::Error);
}

TEST_F(LinearCrossEntropyOnDevice, AWildTargetMakesTheLossNan) {
  const auto in = on_device(inputs(10, 8, 20, at::kFloat));
  Tensor target = targets(10, 20);
  target[4] = 20;
  EXPECT_TRUE(std::isnan(head(target, {})(in)[0].item<double>()));
}

TEST_F(LinearCrossEntropyOnDevice, RefusesDouble) {
  const auto in = on_device(inputs(10, 8, 20, at::kDouble));
  EXPECT_THROW(head(targets(10, 20), {})(in), c10::Error);
}

}  // namespace
}  // namespace adder::ops
