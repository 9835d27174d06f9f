#include "adder/nn/lora.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <filesystem>

#include "adder/base/error.h"
#include "adder/io/json.h"
#include "adder/io/safetensors.h"
#include "adder/nn/language_model.h"
#include "adder/nn/linear.h"

namespace adder::nn {
namespace {

constexpr double kScale = 2.5;  // alpha 10, rank 4
const model::LoraOptions kAll = {.rank = 4, .alpha = 10, .targets = {"all"}};

model::ModelConfig config_of(const std::vector<std::string>& options) {
  model::ModelConfig config;
  const auto entries = flatten(config);
  const auto set = [&](const std::string& option) {
    const size_t split = option.find('=');
    set_from_text(find_option(entries, option.substr(0, split)), option.substr(split + 1));
  };
  for (const char* option : {"vocab_size=19", "d_model=24", "n_layer=2", "mamba1.d_state=6",
                             "mamba2.d_state=16", "mamba2.head_dim=8", "softmax.head_dim=8"}) {
    set(option);
  }
  for (const std::string& option : options) set(option);
  return config;
}

/// Every kind of mixer and MLP, biases included.
const std::vector<std::vector<std::string>> kKinds = {
    {"mamba2.bias=true"},
    {"layers=mamba1", "mamba1.dt_rank=4", "mlp.kind=gelu", "mlp.bias=true"},
    {"layers=softmax,mamba2", "softmax.n_heads=4", "softmax.qkv_bias=true", "mlp.kind=swiglu"},
    {"layers=word_ssm", "word_ssm.d_state=6"}};

Tensor token_rows(int64_t batch, int64_t length) {
  return at::arange(batch * length, at::kLong)
      .mul(7)
      .add(3)
      .square()
      .remainder(19)
      .view({batch, length});
}

/// Adapters that do something: B is zero at the start.
void randomise(Parameters& adapters) {
  const c10::NoGradGuard no_grad;
  at::manual_seed(5);
  for (const Tensor& tensor : adapters.tensors()) {
    Tensor(tensor).copy_(0.1 * at::randn(tensor.sizes(), tensor.options()));
  }
}

Tensor loss_of(const LanguageModel& model, Context context = {}) {
  const Tensor all = token_rows(2, 21);
  return model.loss(model.forward(all.narrow(1, 0, 20), context), all.narrow(1, 1, 20)).nll_sum;
}

TEST(Lora, StartsAsTheModelItself) {
  for (const auto& options : kKinds) {
    Context context;
    const LanguageModel plain(config_of(options), 3), adapted(config_of(options), 3, kAll);
    EXPECT_TRUE(at::equal(plain.forward(token_rows(2, 17), context),
                          adapted.forward(token_rows(2, 17), context)));
  }
}

TEST(Lora, MergedWeightsComputeTheSame) {
  for (const auto& options : kKinds) {
    LanguageModel adapted(config_of(options), 3, kAll), merged(config_of(options), 4);
    randomise(adapted.trained());
    const MergedWeights weights(adapted.parameters());
    merged.parameters().load(weights.weights());
    for (auto* model : {&adapted, &merged}) {  // in double nothing but the rule is compared
      for (const Tensor& t : model->parameters().tensors()) t.set_data(t.data().to(at::kDouble));
    }
    for (const Tensor& t : adapted.trained().tensors()) t.set_data(t.data().to(at::kDouble));
    Context context;
    context.compute = at::kDouble;
    const Tensor a = adapted.forward(token_rows(2, 17), context);
    const Tensor b = merged.forward(token_rows(2, 17), context);
    EXPECT_LT(((a - b).abs().max() / b.abs().max()).item<double>(), 1e-6);
    LanguageModel base(config_of(options), 3);
    for (const Tensor& t : base.parameters().tensors()) t.set_data(t.data().to(at::kDouble));
    EXPECT_GT((a - base.forward(token_rows(2, 17), context)).abs().max().item<double>(), 1e-2);
  }
}

TEST(Lora, OneLinearByHand) {
  Parameters parameters(
      {{"f.weight", {3, 2}, {model::Init::Kind::kNormal, 1}}, {"f.bias", {3}, {}}}, 1);
  Parameters adapters({{"f.lora_A.weight", {1, 2}, {}}, {"f.lora_B.weight", {3, 1}, {}}}, 1);
  {
    const c10::NoGradGuard no_grad;
    Tensor(adapters.at("f.lora_A.weight")).copy_(at::tensor({2.f, -1.f}).view({1, 2}));
    Tensor(adapters.at("f.lora_B.weight")).copy_(at::tensor({1.f, 0.f, 3.f}).view({3, 1}));
  }
  const Tensor x = at::tensor({1.f, 5.f}).view({1, 2});  // x A^T = 2 - 5 = -3
  const Tensor before = Linear(parameters, "f")(x);
  parameters.adapt(adapters, 0.5);
  const Tensor added = Linear(parameters, "f")(x) - before;
  const Tensor expected = at::tensor({-1.5f, 0.f, -4.5f}).view({1, 3});
  EXPECT_LT((added - expected).abs().max().item<double>(), 1e-6);
}

TEST(Lora, GradientsEqualFiniteDifferencesInDouble) {
  for (const auto& options : kKinds) {
    LanguageModel model(config_of(options), 3, kAll);
    randomise(model.trained());
    for (const Tensor& t : model.parameters().tensors()) t.set_data(t.data().to(at::kDouble));
    for (const Tensor& t : model.trained().tensors()) t.set_data(t.data().to(at::kDouble));
    Context context;
    context.compute = at::kDouble;
    const auto gradients =
        torch::autograd::grad({loss_of(model, context)}, model.trained().tensors());
    for (size_t i = 0; i < gradients.size(); ++i) {
      const std::string& name = model.trained().specs()[i].name;
      const double slope = gradients[i].norm().item<double>();
      ASSERT_GT(slope, 0) << name;
      const Tensor direction = gradients[i] / slope;
      const auto loss_at = [&](double h) {
        const Tensor data = model.trained().tensors()[i].data();
        data.add_(direction, h);
        const double value = loss_of(model, context).item<double>();
        data.sub_(direction, h);
        return value;
      };
      // Five points: the error falls with the fourth power of the step.
      constexpr double h = 2e-4;
      const double found = (8 * (loss_at(h) - loss_at(-h)) - (loss_at(2 * h) - loss_at(-2 * h)));
      EXPECT_NEAR(found / (12 * h) / slope, 1, 1e-5) << name;
    }
  }
}

TEST(Lora, TheModelItselfGetsNoGradient) {
  LanguageModel model(config_of({}), 3, kAll);
  loss_of(model).backward();
  for (const Tensor& tensor : model.parameters().tensors()) {
    EXPECT_FALSE(tensor.requires_grad());
    EXPECT_FALSE(tensor.grad().defined());
  }
  for (const Tensor& tensor : model.trained().tensors()) EXPECT_TRUE(tensor.grad().defined());
}

TEST(Lora, RecomputationGivesTheSameGradientsBitForBit) {
  for (const auto& options : kKinds) {
    LanguageModel model(config_of(options), 3, kAll);
    randomise(model.trained());
    Context recompute;
    recompute.checkpoint = true;
    const auto kept = torch::autograd::grad({loss_of(model)}, model.trained().tensors());
    const auto again =
        torch::autograd::grad({loss_of(model, recompute)}, model.trained().tensors());
    for (size_t i = 0; i < kept.size(); ++i) {
      EXPECT_TRUE(at::equal(kept[i], again[i])) << model.trained().specs()[i].name;
    }
  }
}

TEST(Lora, FilesHaveTheLayoutOfPeft) {
  const auto folder = std::filesystem::path(testing::TempDir()) / "adder_lora_files";
  std::filesystem::remove_all(folder);
  LanguageModel model(config_of({}), 3, kAll), other(config_of({}), 4, kAll);
  randomise(model.trained());
  save_adapters(folder.string(), model.config(), model.trained(), kAll, "some/model");
  const io::Json config = io::read_json_file(folder / "adapter_config.json");
  EXPECT_EQ(config.at("peft_type"), "LORA");
  EXPECT_EQ(config.at("r"), 4);
  EXPECT_EQ(config.at("lora_alpha").get<double>() / config.at("r").get<double>(), kScale);
  EXPECT_EQ(config.at("target_modules"), io::Json::array({"in_proj", "out_proj"}));
  EXPECT_EQ(config.at("base_model_name_or_path"), "some/model");
  const auto file = io::SafetensorsFile::open(folder / "adapter_model.safetensors");
  EXPECT_EQ(file.tensor("base_model.model.backbone.layers.1.mixer.in_proj.lora_A.weight").shape,
            model::Shape({4, 24}));

  load_adapters(folder.string(), other.trained());
  for (size_t i = 0; i < model.trained().tensors().size(); ++i) {
    EXPECT_TRUE(at::equal(model.trained().tensors()[i], other.trained().tensors()[i]));
  }
  const auto targets_of = [&](std::vector<std::string> targets) {
    LanguageModel some(config_of({}), 3, {.rank = 4, .alpha = 10, .targets = targets});
    save_adapters(folder.string(), some.config(), some.trained(), kAll, "some/model");
    return io::read_json_file(folder / "adapter_config.json").at("target_modules");
  };
  EXPECT_EQ(targets_of({"out_proj"}), io::Json::array({"out_proj"}));
  // "in_proj" alone would mean both layers to who reads it.
  EXPECT_EQ(targets_of({"1.mixer.in_proj", "out_proj"}),
            io::Json::array({"backbone.layers.1.mixer.in_proj", "out_proj"}));
  LanguageModel narrower(config_of({}), 3, {.rank = 2, .alpha = 10, .targets = {"all"}});
  EXPECT_THROW(load_adapters(folder.string(), narrower.trained()), Error);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace adder::nn
