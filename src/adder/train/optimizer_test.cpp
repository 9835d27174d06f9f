// AdamW against its formula in double, and its state through a file.
#include "adder/train/optimizer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>

namespace adder::train {
namespace {

nn::Parameters two_tensors() {
  return nn::Parameters({{"matrix", {3, 5}, {model::Init::Kind::kNormal, 1.0}, true, false},
                         {"bias", {4}, {model::Init::Kind::kNormal, 1.0}, false, true}},
                        7);
}

void set_gradients(const nn::Parameters& parameters, int64_t step) {
  for (const at::Tensor& p : parameters.tensors()) {
    p.mutable_grad() = at::arange(p.numel(), at::kFloat).add(step).sin().view(p.sizes());
  }
}

TEST(AdamW, FollowsItsFormulaAndDecaysMatricesAlone) {
  const nn::Parameters parameters = two_tensors();
  OptimizerOptions options;
  AdamW optimizer(parameters, options);
  std::vector<at::Tensor> expected, mean, square;
  for (const at::Tensor& p : parameters.tensors()) {
    expected.push_back(p.detach().to(at::kDouble));
    mean.push_back(at::zeros_like(expected.back()));
    square.push_back(at::zeros_like(expected.back()));
  }
  const double lr = 0.01, scale = 0.5;
  for (int64_t step = 1; step <= 5; ++step) {
    set_gradients(parameters, step);
    for (size_t i = 0; i < expected.size(); ++i) {
      const at::Tensor g = parameters.tensors()[i].grad().to(at::kDouble) * scale;
      mean[i] = options.beta1 * mean[i] + (1 - options.beta1) * g;
      square[i] = options.beta2 * square[i] + (1 - options.beta2) * g * g;
      const double decay = i == 0 ? options.weight_decay : 0;
      const at::Tensor m = mean[i] / (1 - std::pow(options.beta1, step));
      const at::Tensor v = square[i] / (1 - std::pow(options.beta2, step));
      expected[i] = expected[i] * (1 - lr * decay) - lr * m / (v.sqrt() + options.eps);
    }
    optimizer.step(lr, scale);
  }
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_LT((parameters.tensors()[i].detach() - expected[i]).abs().max().item<double>(), 1e-6);
    EXPECT_FALSE(parameters.tensors()[i].grad().defined());
  }
}

TEST(AdamW, ContinuesFromItsFileBitForBit) {
  const nn::Parameters straight = two_tensors(), stopped = two_tensors();
  AdamW one(straight, {}), two(stopped, {});
  for (int64_t step = 1; step <= 3; ++step) {
    set_gradients(straight, step), one.step(0.01, 1);
    set_gradients(stopped, step), two.step(0.01, 1);
  }
  const auto file = std::filesystem::temp_directory_path() / "adder-optimizer-test.safetensors";
  two.save(file);
  AdamW three(stopped, {});
  three.load(file);
  std::filesystem::remove(file);
  EXPECT_EQ(three.steps(), 3);
  set_gradients(straight, 4), one.step(0.01, 1);
  set_gradients(stopped, 4), three.step(0.01, 1);
  for (size_t i = 0; i < 2; ++i)
    EXPECT_TRUE(at::equal(straight.tensors()[i], stopped.tensors()[i]));
}

TEST(GradientNorm, IsEuclideanOverAllTensorsWithAGradient) {
  const nn::Parameters parameters = two_tensors();
  parameters.tensors()[0].mutable_grad() = at::full({3, 5}, 2.0, at::kFloat);
  EXPECT_NEAR(gradient_norm(parameters.tensors()), std::sqrt(15 * 4.0), 1e-12);
  parameters.tensors()[1].mutable_grad() = at::full({4}, 1.0, at::kFloat);
  EXPECT_NEAR(gradient_norm(parameters.tensors()), 8, 1e-12);
}

}  // namespace
}  // namespace adder::train
