// What must hold of a language model whatever its weights: carried state, packing, recomputation,
// and gradients.
#include "adder/nn/language_model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <set>

#include "adder/base/error.h"
#include "adder/model/mamba2_spec.h"

namespace adder::nn {
namespace {

model::ModelConfig small_config() {
  model::ModelConfig config;
  config.vocab_size = 19;
  config.d_model = 24;
  config.n_layer = 2;
  auto& mamba2 = static_cast<model::Mamba2Spec&>(config.mixers.at("mamba2"));
  mamba2.d_state = 16;
  mamba2.head_dim = 8;
  mamba2.n_groups = 2;
  mamba2.chunk_size = 8;
  return config;
}

/// One option set a test, by name; every option of mamba-core 2.2 is away from its default in at
/// least one.
model::ModelConfig config_named(const std::string& name) {
  model::ModelConfig config = small_config();
  auto& m = static_cast<model::Mamba2Spec&>(config.mixers.at("mamba2"));
  if (name == "mlp") m.d_ssm = 32, m.bias = true;
  if (name == "norm_before")
    m.gated_norm = "before", m.norm_group = "full", m.D_has_head_dim = true;
  if (name == "no_norm") m.gated_norm = "none", m.conv_bias = false, m.d_conv = 3;
  if (name == "init_states")
    m.learnable_init_states = true, m.n_groups = 1, config.tie_embeddings = false;
  if (name == "limits")
    m.dt_limit_min = 0.01, m.dt_limit_max = 0.05, config.residual_in_fp32 = false;
  return config;
}

Tensor tokens(int64_t batch, int64_t length) {
  return at::arange(batch * length, at::kLong)
      .mul(7)
      .add(3)
      .square()
      .remainder(19)
      .view({batch, length});
}

double relative_error(const Tensor& a, const Tensor& b) {
  return ((a - b).abs().max() / b.abs().max()).item<double>();
}

/// The loss and every gradient of one batch.
std::pair<double, std::vector<Tensor>> loss_and_gradients(LanguageModel& model, Context context,
                                                          const Tensor& in, const Tensor& targets) {
  const Tensor loss = model.loss(model.forward(in, context), targets).nll_sum;
  return {loss.item<double>(),
          torch::autograd::grad({loss}, model.parameters().tensors(), {}, false, false, true)};
}

class EveryOptionSet : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Mamba2, EveryOptionSet,
                         testing::Values("plain", "mlp", "norm_before", "no_norm", "init_states",
                                         "limits"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(EveryOptionSet, PiecesWithCarriedStateEqualTheWhole) {
  LanguageModel model(config_named(GetParam()), 1);
  const Tensor all = tokens(2, 29);
  Context context;
  const Tensor whole = model.forward(all, context);
  std::vector<State> carried;
  int64_t begin = 0;
  for (const int64_t length : {1, 2, 13, 1, 12}) {
    const Tensor piece = model.forward(all.narrow(1, begin, length), context, &carried);
    EXPECT_LT(relative_error(piece, whole.narrow(1, begin, length)), 1e-4) << "piece at " << begin;
    begin += length;
  }
}

TEST_P(EveryOptionSet, GradientsEqualFiniteDifferencesInDouble) {
  LanguageModel model(config_named(GetParam()), 1);
  for (const Tensor& parameter : model.parameters().tensors()) {
    parameter.set_data(parameter.data().to(at::kDouble));
  }
  Context context;
  context.compute = at::kDouble;
  const Tensor in = tokens(2, 12), targets = tokens(2, 13).narrow(1, 1, 12);
  const auto gradients = loss_and_gradients(model, context, in, targets).second;
  for (size_t i = 0; i < gradients.size(); ++i) {
    const std::string& name = model.parameters().specs()[i].name;
    ASSERT_TRUE(gradients[i].defined()) << name;
    const double slope = gradients[i].norm().item<double>();
    ASSERT_GT(slope, 0) << name;
    const Tensor direction = gradients[i] / slope;
    const auto loss_at = [&](double h) {
      const Tensor data = model.parameters().tensors()[i].data();
      data.add_(direction, h);
      const double value = model.loss(model.forward(in, context), targets).nll_sum.item<double>();
      data.sub_(direction, h);
      return value;
    };
    constexpr double kStep = 1e-4;
    EXPECT_NEAR((loss_at(kStep) - loss_at(-kStep)) / (2 * kStep) / slope, 1, 1e-5) << name;
  }
}

TEST_P(EveryOptionSet, RecomputationGivesTheSameGradientsBitForBit) {
  LanguageModel model(config_named(GetParam()), 1);
  const Tensor in = tokens(2, 20), targets = tokens(2, 21).narrow(1, 0, 20);
  Context keep, recompute;
  recompute.checkpoint = true;
  const auto [loss, gradients] = loss_and_gradients(model, keep, in, targets);
  const auto [loss_again, gradients_again] = loss_and_gradients(model, recompute, in, targets);
  EXPECT_EQ(loss, loss_again);
  for (size_t i = 0; i < gradients.size(); ++i) {
    EXPECT_TRUE(at::equal(gradients[i], gradients_again[i])) << model.parameters().specs()[i].name;
  }
}

TEST_P(EveryOptionSet, PackedDocumentsEqualSeparateOnes) {
  LanguageModel model(config_named(GetParam()), 1);
  const Tensor all = tokens(1, 30);
  Context packed;
  packed.seq_idx = at::cat(
      {at::zeros({1, 11}, at::kInt), at::ones({1, 1}, at::kInt), at::zeros({1, 18}, at::kInt)}, 1);
  if (std::string(GetParam()) == "init_states") {
    EXPECT_THROW(model.forward(all, packed), Error);  // they would reach the first document alone
    return;
  }
  const Tensor together = model.forward(all, packed);
  int64_t begin = 0;
  for (const int64_t length : {11, 1, 18}) {
    Context context;
    const Tensor apart = model.forward(all.narrow(1, begin, length), context);
    EXPECT_LT(relative_error(together.narrow(1, begin, length), apart), 1e-4)
        << "document at " << begin;
    begin += length;
  }
}

TEST(LanguageModel, GradientsFlowThroughTheCarriedState) {
  LanguageModel model(config_named("plain"), 1);
  const Tensor in = tokens(1, 24), targets = tokens(1, 25).narrow(1, 1, 24);
  const auto [whole, expected] = loss_and_gradients(model, {}, in, targets);
  std::vector<State> carried;
  Context context;
  const Tensor first =
      model.loss(model.forward(in.narrow(1, 0, 10), context, &carried), targets.narrow(1, 0, 10))
          .nll_sum;
  const Tensor second =
      model.loss(model.forward(in.narrow(1, 10, 14), context, &carried), targets.narrow(1, 10, 14))
          .nll_sum;
  const auto gradients = torch::autograd::grad({first + second}, model.parameters().tensors());
  EXPECT_NEAR((first + second).item<double>(), whole, 1e-4 * whole);
  for (size_t i = 0; i < gradients.size(); ++i) {
    EXPECT_LT(relative_error(gradients[i], expected[i]), 1e-3)
        << model.parameters().specs()[i].name;
  }
}

TEST(LanguageModel, Bfloat16StaysNearFloat) {
  LanguageModel model(config_named("plain"), 1);
  Context exact, narrow;
  narrow.compute = at::kBFloat16;
  const Tensor in = tokens(2, 40);
  const Tensor hidden = model.forward(in, narrow);
  EXPECT_EQ(hidden.scalar_type(), at::kBFloat16);
  EXPECT_LT(relative_error(hidden.to(at::kFloat), model.forward(in, exact)), 0.03);
}

TEST(LanguageModel, ProbesSeeWhatTheMixerComputes) {
  LanguageModel model(config_named("plain"), 1);
  Context context;
  std::set<std::string, std::less<>> seen;
  int64_t layers = 0;
  context.on_probe = [&](int64_t layer, std::string_view name, const Tensor& value) {
    layers = std::max(layers, layer + 1);
    if (name == "B") {
      EXPECT_EQ(value.sizes(), at::IntArrayRef({2, 5, 2, 16}));
    }
    if (name == "dt") {
      EXPECT_EQ(value.sizes(), at::IntArrayRef({2, 5, 6}));
    }
    seen.emplace(name);
  };
  model.forward(tokens(2, 5), context);
  EXPECT_EQ(layers, 2);
  EXPECT_EQ(seen.size(), 5u);
}

TEST(Parameters, RefusesATensorOfAnotherShape) {
  LanguageModel model(config_named("plain"), 1);
  float value[4] = {};
  try {
    model.parameters().load({{"backbone.norm_f.weight", {value, DType::f32, {4}}}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kShape);
    EXPECT_EQ(error.text().where, "backbone.norm_f.weight");
  }
}

}  // namespace
}  // namespace adder::nn
