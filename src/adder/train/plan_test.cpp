#include "adder/train/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "adder/base/error.h"
#include "adder/train/plan_mixers.h"

namespace adder::train {
namespace {

model::ModelConfig small() {
  model::ModelConfig config;
  config.vocab_size = 8192;
  config.d_model = 256;
  config.n_layer = 8;
  return config;
}

/// Every kind of block: options by name.
const std::map<std::string, std::vector<std::string>> kModels = {
    {"mamba2", {}},
    {"mamba1", {"layers=mamba1"}},
    {"softmax", {"layers=softmax"}},
    {"softmax_window", {"layers=softmax", "softmax.window=40", "softmax.n_kv_heads=2"}},
    {"mamba1_swiglu", {"layers=mamba1", "mlp.kind=swiglu"}},
    {"softmax_gelu", {"layers=softmax", "mlp.kind=gelu"}},
    {"hybrid", {"layers=mamba1,mamba2,softmax", "mlp.kind=swiglu"}},
};

model::ModelConfig model_named(const std::string& name) {
  model::ModelConfig config = small();
  for (const std::string& option : kModels.at(name)) {
    const size_t split = option.find('=');
    set_from_text(find_option(flatten(config), option.substr(0, split)), option.substr(split + 1));
  }
  return config;
}

class EveryModel : public testing::TestWithParam<std::string> {};
std::vector<std::string> model_names() {
  std::vector<std::string> names;
  for (const auto& [name, options] : kModels) names.push_back(name);
  return names;
}
INSTANTIATE_TEST_SUITE_P(Plan, EveryModel, testing::ValuesIn(model_names()),
                         [](const auto& info) { return info.param; });

double amount(const std::vector<PlanPart>& parts, const std::string& name) {
  for (const PlanPart& part : parts) {
    if (part.name == name) return part.amount;
  }
  return 0;
}

// mamba-core 2.6: the published sizes of mamba2-130m.
TEST(Plan, CountsThePublishedModelExactly) {
  model::ModelConfig config;
  config.vocab_size = 50288;
  config.d_model = 768;
  config.n_layer = 24;
  const Plan plan = make_plan(config, {});
  // d_inner 1536, 24 heads, conv_dim 1536 + 2 * 128.
  const double mixer = (2 * 1536 + 256 + 24) * 768.0 + 1792 * 5 + 3 * 24 + 1536 + 1536 * 768.0;
  EXPECT_EQ(amount(plan.parameters, "mixers"), 24 * mixer);
  EXPECT_EQ(amount(plan.parameters, "embedding"), 50288.0 * 768);
  EXPECT_EQ(amount(plan.parameters, "norms"), 25 * 768.0);
  EXPECT_EQ(double(plan.parameter_count), 24 * mixer + 50288.0 * 768 + 25 * 768);
}

TEST_P(EveryModel, PartsAddUp) {
  const Plan plan = make_plan(model_named(GetParam()), {});
  double parameters = 0, memory = 0;
  for (const PlanPart& part : plan.parameters) parameters += part.amount;
  for (const PlanPart& part : plan.memory) memory += part.amount;
  EXPECT_EQ(parameters, double(plan.parameter_count));
  EXPECT_DOUBLE_EQ(memory, plan.peak_bytes);
  EXPECT_EQ(amount(plan.memory, "weights"), 4.0 * double(plan.parameter_count));
  EXPECT_EQ(amount(plan.memory, "AdamW moments"), 8.0 * double(plan.parameter_count));
}

TEST_P(EveryModel, RecomputationTradesMemoryForArithmetic) {
  const model::ModelConfig config = model_named(GetParam());
  TrainOptions options;
  const Plan plain = make_plan(config, options);
  options.checkpoint_activations = true;
  const Plan again = make_plan(config, options);
  EXPECT_LT(again.peak_bytes, plain.peak_bytes);
  EXPECT_DOUBLE_EQ(plain.training_flops, 3 * plain.forward_flops);
  EXPECT_DOUBLE_EQ(again.training_flops, 4 * plain.forward_flops);
}

// mamba-core 2.6 and model/lora.h: adapters of rank 8 on both projections of 8 layers.
TEST(Plan, OfAdapters) {
  TrainOptions options;
  const Plan whole = make_plan(small(), options);
  options.lora.rank = 8;
  const Plan plan = make_plan(small(), options);
  const double in_proj = 2 * 512 + 2 * 128 + 8;  // z, x, B, C, dt
  const double adapters = 8 * 8 * ((256 + in_proj) + (512 + 256));
  EXPECT_EQ(double(plan.trained_count), adapters);
  EXPECT_EQ(plan.parameter_count, whole.parameter_count);
  EXPECT_EQ(amount(plan.memory, "weights"), amount(whole.memory, "weights"));
  EXPECT_EQ(amount(plan.memory, "adapters"), 4 * adapters);
  EXPECT_EQ(amount(plan.memory, "AdamW moments"), 8 * adapters);
  EXPECT_EQ(amount(plan.memory, "gradients"), 4 * adapters);
  EXPECT_LT(plan.peak_bytes, whole.peak_bytes);
  const double matrices = 256 * 8192 + 8 * 256 * (in_proj + 512);
  EXPECT_DOUBLE_EQ(plan.training_flops, whole.training_flops + 6 * adapters - 2 * matrices);
}

TEST_P(EveryModel, HalfTheElementIsAboutHalfTheActivations) {
  const model::ModelConfig config = model_named(GetParam());
  TrainOptions options;
  const double wide = amount(make_plan(config, options).memory, "activations");
  options.compute = "bf16";
  const double narrow = amount(make_plan(config, options).memory, "activations");
  EXPECT_GT(narrow, 0.5 * wide);  // the residual stream stays fp32
  EXPECT_LT(narrow, 0.62 * wide);
}

TEST_P(EveryModel, TheLargestBatchFitsAndTheNextDoesNot) {
  const model::ModelConfig config = model_named(GetParam());
  TrainOptions options;
  const double limit = 4e9;
  const int64_t batch = largest_batch(config, options, limit);
  ASSERT_GT(batch, 1);
  options.batch_size = batch;
  EXPECT_LE(make_plan(config, options).peak_bytes, limit);
  options.batch_size = batch + 1;
  EXPECT_GT(make_plan(config, options).peak_bytes, limit);
  EXPECT_EQ(largest_batch(config, options, 1e6), 0);
}

// Without recomputation every block is kept and the one whose backward takes most is the peak; with
// it, each block is kept for its own backward alone. In the hybrid those are different blocks.
TEST(Plan, TheMomentOfMostIsOfTheRightBlock) {
  const PlanShape shape{.batch = 64, .length = 256, .element = 4, .threads = 1};
  TrainOptions options;
  options.batch_size = shape.batch;
  options.length = shape.length;
  options.threads = 1;
  model::ModelConfig config = small();
  config.vocab_size = 16;
  config.layers = {"mamba1", "softmax"};
  const BlockMemory one = block_memory(config, 0, shape), two = block_memory(config, 1, shape);
  ASSERT_NE(one.working > two.working, one.kept + one.working > two.kept + two.working);
  const double gradients = 2 * shape.tokens() * 256 * 4;  // of a block's output and residual
  const auto backward = [&] {
    const auto memory = make_plan(config, options).memory;
    return amount(memory, "backward") + amount(memory, "scan workspace") - gradients;
  };
  const double head = shape.tokens() * (256 * 4 + 8);
  // Of the norms the first keeps its input, the others sums; recomputation keeps both terms.
  const double norms = shape.tokens() * 256 * 4 * (1 + 8), inputs = shape.tokens() * 256 * 4 * 16;
  const double normed = shape.tokens() * 256 * 4;
  EXPECT_DOUBLE_EQ(backward(), std::max(one.working, two.working));
  EXPECT_DOUBLE_EQ(amount(make_plan(config, options).memory, "activations"),
                   head + norms + 8 * normed + 4 * (one.kept + two.kept));
  options.checkpoint_activations = true;
  const BlockMemory& most = one.kept + one.working > two.kept + two.working ? one : two;
  EXPECT_DOUBLE_EQ(backward(), most.working);
  const auto whole = [&] { return amount(make_plan(config, options).memory, "activations"); };
  EXPECT_DOUBLE_EQ(whole(), head + inputs + normed + most.kept);

  // Adapters keep x A^T: of one layer's linears when one layer is kept, of all when all are.
  const double again = whole();
  options.lora.rank = 8;
  EXPECT_DOUBLE_EQ(whole() - again, 2 * shape.tokens() * 8 * 4);
  options.checkpoint_activations = false;
  const double adapted = whole();
  options.lora.rank = 0;
  EXPECT_DOUBLE_EQ(adapted - whole(), 8 * 2 * shape.tokens() * 8 * 4);
}

TEST(Plan, AVocabularyMustBeKnown) {
  EXPECT_THROW(make_plan(model::ModelConfig{}, {}), Error);
}

TEST(Plan, JsonSaysTheSame) {
  const Plan plan = make_plan(small(), {});
  const io::Json json = plan_json(plan);
  EXPECT_EQ(json.at("parameters").get<int64_t>(), plan.parameter_count);
  EXPECT_EQ(json.at("memory_bytes").size(), plan.memory.size());
  EXPECT_NE(plan_text(plan).find("AdamW moments"), std::string::npos);
}

}  // namespace
}  // namespace adder::train
