// What must hold of a language model whatever its weights: carried state, packing, recomputation,
// and gradients.
#include "adder/nn/language_model.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <map>
#include <set>

#include "adder/base/error.h"

namespace adder::nn {
namespace {

/// Option sets by name; every option of mamba-core 2.1, 2.2 and 2.5 that a mixer reads is away from
/// its default in at least one.
const std::map<std::string, std::vector<std::string>> kOptionSets = {
    {"plain", {}},
    {"part_ssm", {"mamba2.d_ssm=32", "mamba2.bias=true"}},
    {"norm_before",
     {"mamba2.gated_norm=before", "mamba2.norm_group=full", "mamba2.D_has_head_dim=true"}},
    {"no_norm", {"mamba2.gated_norm=none", "mamba2.conv_bias=false", "mamba2.d_conv=3"}},
    {"init_states",
     {"mamba2.learnable_init_states=true", "mamba2.n_groups=1", "tie_embeddings=false"}},
    {"limits", {"mamba2.dt_limit_min=0.01", "mamba2.dt_limit_max=0.05", "residual_in_fp32=false"}},
    {"mamba1", {"layers=mamba1"}},
    {"mamba1_bias",
     {"layers=mamba1", "mamba1.bias=true", "mamba1.conv_bias=false", "mlp.kind=gelu",
      "mlp.bias=true"}},
    {"mamba1_norms", {"layers=mamba1", "mamba1.norm_BCdt=true", "mamba1.dt_rank=3"}},
    {"softmax", {"layers=softmax"}},
    {"softmax_groups",
     {"layers=softmax", "softmax.n_heads=4", "softmax.n_kv_heads=2", "softmax.qkv_bias=true",
      "softmax.out_bias=true", "softmax.rotary_dim=4"}},
    {"softmax_window",
     {"layers=softmax", "softmax.window=6", "softmax.rotary_interleaved=true",
      "softmax.rotary_base=100"}},
    {"softmax_conv", {"layers=softmax", "softmax.d_conv=3", "softmax.d_mlp=10", "softmax.scale=1"}},
    {"softmax_hybrid",
     {"layers=mamba2,softmax", "softmax.d_conv=1", "softmax.window=3", "softmax.rotary_dim=0",
      "softmax.n_kv_heads=1"}},
    {"no_stream", {"norm=none", "residual=false", "head_bias=true"}},
    {"no_norms", {"norm=none", "mlp.kind=gelu", "head_bias=true", "tie_embeddings=false"}},
    {"word_ssm", {"layers=word_ssm", "word_ssm.d_state=7", "embedding_std=1"}},
    {"word_ssm_alone",
     {"layers=word_ssm", "n_layer=1", "norm=none", "residual=false", "tie_embeddings=false",
      "head_bias=true", "embedding_std=1", "word_ssm.d_out=11", "word_ssm.decay=real",
      "word_ssm.memory=30"}},
    {"word_ssm_b", {"layers=word_ssm", "word_ssm.form=B", "word_ssm.d_state=5"}},
    {"word_ssm_b_pairs",
     {"layers=word_ssm", "word_ssm.form=B", "word_ssm.d_state=6", "word_ssm.hippo=lin",
      "word_ssm.dt_min=0.02", "word_ssm.dt_max=0.5", "word_ssm.norm_eps=0.01"}},
    {"word_ssm_c",
     {"layers=word_ssm", "word_ssm.form=C", "word_ssm.d_state=6", "word_ssm.hippo=fourier"}},
    {"word_ssm_d",
     {"layers=word_ssm", "word_ssm.form=D", "word_ssm.d_state=5", "word_ssm.memory=8"}},
    {"word_ssm_e",
     {"layers=word_ssm", "word_ssm.form=E", "word_ssm.d_state=5", "word_ssm.memory=8"}},
    {"hybrid", {"layers=mamba1,mamba2", "mlp.kind=swiglu", "mlp.d_hidden=20"}},
};

model::ModelConfig config_named(const std::string& name) {
  model::ModelConfig config;
  const auto entries = flatten(config);
  const auto set = [&](const std::string& option) {
    const size_t split = option.find('=');
    set_from_text(find_option(entries, option.substr(0, split)), option.substr(split + 1));
  };
  for (const char* option :
       {"vocab_size=19", "d_model=24", "n_layer=2", "mamba1.d_state=6", "mamba2.d_state=16",
        "mamba2.head_dim=8", "mamba2.n_groups=2", "mamba2.chunk_size=8", "softmax.head_dim=8"}) {
    set(option);
  }
  for (const std::string& option : kOptionSets.at(name)) set(option);
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

/// The parameters that are not constants, and their names.
struct Trained {
  explicit Trained(const LanguageModel& model) {
    for (size_t i = 0; i < model.parameters().specs().size(); ++i) {
      const model::TensorSpec& spec = model.parameters().specs()[i];
      if (spec.frozen) continue;
      tensors.push_back(model.parameters().tensors()[i]);
      names.push_back(spec.name);
    }
  }
  std::vector<Tensor> tensors;
  std::vector<std::string> names;
};

/// The loss and every gradient of one batch.
std::pair<double, std::vector<Tensor>> loss_and_gradients(LanguageModel& model, Context context,
                                                          const Tensor& in, const Tensor& targets) {
  const Tensor loss = model.loss(model.forward(in, context), targets).nll_sum;
  return {loss.item<double>(),
          torch::autograd::grad({loss}, Trained(model).tensors, {}, false, false, true)};
}

class EveryOptionSet : public testing::TestWithParam<std::string> {};
std::vector<std::string> option_set_names() {
  std::vector<std::string> names;
  for (const auto& [name, options] : kOptionSets) names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Models, EveryOptionSet, testing::ValuesIn(option_set_names()),
                         [](const auto& info) { return info.param; });

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
  const Trained trained(model);
  for (size_t i = 0; i < gradients.size(); ++i) {
    const std::string& name = trained.names[i];
    ASSERT_TRUE(gradients[i].defined()) << name;
    const double slope = gradients[i].norm().item<double>();
    ASSERT_GT(slope, 0) << name;
    const Tensor direction = gradients[i] / slope;
    const auto loss_at = [&](double h) {
      const Tensor data = trained.tensors[i].data();
      data.add_(direction, h);
      const double value = model.loss(model.forward(in, context), targets).nll_sum.item<double>();
      data.sub_(direction, h);
      return value;
    };
    // Form D's sums of |row| have kinks: none so near.
    const double step = GetParam() == "word_ssm_d" ? 1e-6 : 1e-4;
    EXPECT_NEAR((loss_at(step) - loss_at(-step)) / (2 * step) / slope, 1, 1e-5) << name;
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
    EXPECT_TRUE(at::equal(gradients[i], gradients_again[i])) << Trained(model).names[i];
  }
}

TEST_P(EveryOptionSet, PackedDocumentsEqualSeparateOnes) {
  LanguageModel model(config_named(GetParam()), 1);
  const Tensor all = tokens(1, 30);
  Context packed;
  packed.seq_idx = at::cat(
      {at::zeros({1, 11}, at::kInt), at::ones({1, 1}, at::kInt), at::zeros({1, 18}, at::kInt)}, 1);
  if (GetParam() == "init_states") {
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

TEST_P(EveryOptionSet, PaddingAddsNothing) {
  LanguageModel model(config_named(GetParam()), 1);
  const auto generator = at::detail::createCPUGenerator(7);
  for (const Tensor& parameter : Trained(model).tensors) {  // biases start at 0
    parameter.set_data(parameter.data() +
                       at::randn(parameter.sizes(), generator, at::kFloat).mul(0.1));
  }
  const Tensor all = tokens(1, 30), unseen = all.clone();
  Context padded;
  const auto run = [](int64_t length, int number) {
    return at::full({1, length}, number, at::kInt);
  };
  padded.seq_idx =  // the initial states of `init_states` allow one document a row
      GetParam() == "init_states" ? at::cat({run(21, 0), run(9, -1)}, 1)
                                  : at::cat({run(11, 0), run(3, -1), run(7, 1), run(9, -1)}, 1);
  const Tensor hidden = model.forward(all, padded);
  Context alone;
  EXPECT_LT(relative_error(hidden.narrow(1, 0, 11), model.forward(all.narrow(1, 0, 11), alone)),
            1e-4);
  if (GetParam() != "init_states") {
    EXPECT_LT(relative_error(hidden.narrow(1, 14, 7), model.forward(all.narrow(1, 14, 7), alone)),
              1e-4);
  }
  // The residual stream stays what the embedding put there, or nothing where blocks replace it;
  // then the last norm.
  const Tensor padding = padded.seq_idx.lt(0);
  Tensor stream =
      at::embedding(model.parameters().at("backbone.embeddings.weight"), all.index({padding}));
  if (!model.config().residual) stream = at::zeros_like(hidden.index({padding}));
  if (model.config().normed()) {
    stream = stream * (stream.square().mean(-1, true) + model.config().norm_eps).rsqrt() *
             model.parameters().at("backbone.norm_f.weight");
  }
  EXPECT_LE((hidden.index({padding}) - stream).abs().max().item<double>(),
            1e-6 * stream.abs().max().item<double>());
  // And what stands there reaches nobody: another token gives the same, bit for bit.
  unseen.index_put_({padding}, unseen.index({padding}).add(1).remainder(19));
  const Tensor again = model.forward(unseen, padded);
  EXPECT_TRUE(
      at::equal(again.index({padding.logical_not()}), hidden.index({padding.logical_not()})));
}

TEST_P(EveryOptionSet, PaddingLeavesTheCarriedStateAlone) {
  LanguageModel model(config_named(GetParam()), 1);
  const Tensor all = tokens(1, 15), junk = all.narrow(1, 3, 5);
  Context plain, padded;
  padded.seq_idx = at::cat({at::zeros({1, 12}, at::kInt), at::full({1, 5}, -1, at::kInt)}, 1);
  std::vector<State> carried;
  model.forward(at::cat({all.narrow(1, 0, 12), junk}, 1), padded, &carried);
  const Tensor next = model.forward(all.narrow(1, 12, 3), plain, &carried);
  EXPECT_LT(relative_error(next, model.forward(all, plain).narrow(1, 12, 3)), 1e-4);
}

TEST_P(EveryOptionSet, GradientsFlowThroughTheCarriedState) {
  LanguageModel model(config_named(GetParam()), 1);
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
  const auto gradients = torch::autograd::grad({first + second}, Trained(model).tensors);
  EXPECT_NEAR((first + second).item<double>(), whole, 1e-4 * whole);
  for (size_t i = 0; i < gradients.size(); ++i) {
    EXPECT_LT(relative_error(gradients[i], expected[i]), 1e-3) << Trained(model).names[i];
  }
}

// A result is rounded to 8 bits, by at most 2^-9 of it, about 10 times in a mixer and 5 in an MLP:
// as a random walk over 2 layers sqrt(30) 2^-9 = 1 %. The largest error of 1,920 numbers stands to
// the largest number about as one to the other; three times that is allowed.
TEST_P(EveryOptionSet, Bfloat16StaysNearFloat) {
  LanguageModel model(config_named(GetParam()), 1);
  Context exact, narrow;
  narrow.compute = at::kBFloat16;
  const Tensor in = tokens(2, 40);
  const Tensor hidden = model.forward(in, narrow);
  EXPECT_EQ(hidden.scalar_type(), at::kBFloat16);
  EXPECT_LT(relative_error(hidden.to(at::kFloat), model.forward(in, exact)), 0.03);
}

using Probed = std::map<std::string, Tensor>;

/// What the only layer of a model of `kind` shows of tokens (2, 5).
Probed probes_of(const std::string& kind, const std::string& form = "A") {
  auto config = config_named("plain");
  set_from_text(find_option(flatten(config), "word_ssm.form"), form);
  set_from_text(find_option(flatten(config), "word_ssm.d_state"), "6");
  config.layers = {kind};
  config.n_layer = 1;
  const LanguageModel model(config, 1);
  Probed seen;
  Context context;
  context.on_probe = [&](int64_t layer, std::string_view name, const Tensor& value) {
    EXPECT_EQ(layer, 0);
    EXPECT_TRUE(seen.emplace(name, value).second) << name << " twice";
  };
  model.forward(tokens(2, 5), context);
  return seen;
}

std::map<std::string, std::vector<int64_t>> shapes_of(const Probed& probed) {
  std::map<std::string, std::vector<int64_t>> shapes;
  for (const auto& [name, value] : probed) shapes[name] = value.sizes().vec();
  return shapes;
}

// nn/context.h: the same names and meanings from every mixer.
TEST(LanguageModel, ProbesSeeWhatTheMixerComputes) {
  using Shapes = std::map<std::string, std::vector<int64_t>>;
  EXPECT_EQ(shapes_of(probes_of("mamba1")), (Shapes{{"dt", {2, 5, 48}},
                                                    {"A", {48, 6}},
                                                    {"B", {2, 5, 1, 6}},
                                                    {"C", {2, 5, 1, 6}},
                                                    {"y", {2, 5, 48}}}));
  EXPECT_EQ(shapes_of(probes_of("mamba2")), (Shapes{{"dt", {2, 5, 6}},
                                                    {"A", {6}},
                                                    {"B", {2, 5, 2, 16}},
                                                    {"C", {2, 5, 2, 16}},
                                                    {"y", {2, 5, 6, 8}}}));
  EXPECT_EQ(
      shapes_of(probes_of("word_ssm", "A")),
      (Shapes{{"q", {2, 5, 1, 6}}, {"k", {2, 5, 1, 6}}, {"v", {2, 5, 1, 24}}, {"decay", {6}}}));
  EXPECT_EQ(shapes_of(probes_of("word_ssm", "B")), (Shapes{{"y", {2, 5, 24}}}));
  EXPECT_EQ(shapes_of(probes_of("word_ssm", "C")),
            (Shapes{{"B", {2, 5, 1, 6}}, {"C", {2, 5, 1, 6}}}));
  EXPECT_EQ(shapes_of(probes_of("word_ssm", "D")),
            (Shapes{{"decay", {2, 5, 6, 6}}, {"y", {2, 5, 6}}}));
  EXPECT_EQ(
      shapes_of(probes_of("word_ssm", "E")),
      (Shapes{{"q", {2, 5, 1, 6}}, {"v", {2, 5, 1, 6}}, {"decay", {2, 5, 6}}, {"y", {2, 5, 6}}}));
  EXPECT_EQ(
      shapes_of(probes_of("softmax")),
      (Shapes{{"q", {2, 5, 3, 8}}, {"k", {2, 5, 3, 8}}, {"v", {2, 5, 3, 8}}, {"y", {2, 5, 3, 8}}}));
}

// The first token has no past: y = (softplus(dt + bias) (B.C) + D) u, and of two channels or heads
// that is enough to tell dt before its softplus from after it, and y before its gate from after it.
TEST(LanguageModel, ProbedDtAndYAreBeforeSoftplusAndGate) {
  for (const std::string kind : {"mamba1", "mamba2"}) {
    auto config = config_named("plain");
    config.layers = {kind};
    config.n_layer = 1;
    const LanguageModel model(config, 1);
    const std::string prefix = "backbone.layers.0.mixer.";
    const auto parameter = [&](const char* name) { return model.parameters().at(prefix + name); };
    Probed seen;
    Context context;
    context.on_probe = [&](int64_t, std::string_view name, const Tensor& value) {
      seen.emplace(name, value);
    };
    const Tensor token = tokens(1, 1);
    model.forward(token, context);

    // u: the first token through norm, projection and the convolution's last tap.
    const Tensor embedded = model.parameters().at("backbone.embeddings.weight")[token.item<int>()];
    const Tensor normed = embedded * (embedded.square().mean() + config.norm_eps).rsqrt();
    const int64_t first = kind == "mamba1" ? 0 : 48;  // z stands before x in mamba2
    const Tensor x = parameter("in_proj.weight").narrow(0, first, 48).mv(normed);
    const Tensor u =
        at::silu(x * parameter("conv1d.weight").select(2, 3).squeeze(1).narrow(0, 0, 48) +
                 parameter("conv1d.bias").narrow(0, 0, 48));
    const Tensor B = seen.at("B")[0][0], C = seen.at("C")[0][0], dt = seen.at("dt")[0][0];
    const bool one = kind == "mamba1";
    const Tensor step = at::softplus(dt + parameter(one ? "dt_proj.bias" : "dt_bias"));
    const Tensor BC = one ? (B * C).sum() : (B * C).sum(-1).repeat_interleave(3);  // heads a group
    const Tensor gain = step * BC + parameter("D");
    const Tensor want = one ? gain * u : gain.unsqueeze(-1) * u.view({6, 8});
    EXPECT_LT(relative_error(seen.at("y")[0][0], want), 1e-5) << kind;
  }
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
