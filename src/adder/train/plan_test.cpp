#include "adder/train/plan.h"

#include <gtest/gtest.h>

#include "adder/base/error.h"

namespace adder::train {
namespace {

model::ModelConfig small() {
  model::ModelConfig config;
  config.vocab_size = 8192;
  config.d_model = 256;
  config.n_layer = 8;
  return config;
}

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

TEST(Plan, PartsAddUp) {
  const Plan plan = make_plan(small(), {});
  double parameters = 0, memory = 0;
  for (const PlanPart& part : plan.parameters) parameters += part.amount;
  for (const PlanPart& part : plan.memory) memory += part.amount;
  EXPECT_EQ(parameters, double(plan.parameter_count));
  EXPECT_DOUBLE_EQ(memory, plan.peak_bytes);
  EXPECT_EQ(amount(plan.memory, "weights"), 4.0 * double(plan.parameter_count));
  EXPECT_EQ(amount(plan.memory, "AdamW moments"), 8.0 * double(plan.parameter_count));
}

TEST(Plan, RecomputationTradesMemoryForArithmetic) {
  TrainOptions options;
  const Plan plain = make_plan(small(), options);
  options.checkpoint_activations = true;
  const Plan again = make_plan(small(), options);
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

TEST(Plan, HalfTheElementIsAboutHalfTheActivations) {
  TrainOptions options;
  const double wide = amount(make_plan(small(), options).memory, "activations");
  options.compute = "bf16";
  const double narrow = amount(make_plan(small(), options).memory, "activations");
  EXPECT_GT(narrow, 0.5 * wide);  // the residual stream stays fp32
  EXPECT_LT(narrow, 0.62 * wide);
}

TEST(Plan, TheLargestBatchFitsAndTheNextDoesNot) {
  TrainOptions options;
  const double limit = 4e9;
  const int64_t batch = largest_batch(small(), options, limit);
  ASSERT_GT(batch, 1);
  options.batch_size = batch;
  EXPECT_LE(make_plan(small(), options).peak_bytes, limit);
  options.batch_size = batch + 1;
  EXPECT_GT(make_plan(small(), options).peak_bytes, limit);
  EXPECT_EQ(largest_batch(small(), options, 1e6), 0);
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
