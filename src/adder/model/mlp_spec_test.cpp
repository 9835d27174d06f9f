#include "adder/model/mlp_spec.h"

#include <gtest/gtest.h>

#include <cmath>

#include "adder/model/test_support.h"

namespace adder::model {
namespace {

using testing::expect_error;
using testing::tensors_by_name;

const LayerPlace kPlace = {.d_model = 32, .layer = 0, .n_layer = 3, .branches = 2};

// mamba-core 2.5: 8/3 d_model or 4 d_model, up to a multiple of 128.
TEST(MlpSpec, DefaultWidths) {
  MlpSpec spec{.kind = "swiglu"};
  EXPECT_EQ(spec.hidden(768), 2048);
  EXPECT_EQ(spec.hidden(769), 2176);  // 2050.67
  EXPECT_EQ(spec.hidden(48), 128);
  spec.kind = "gelu";
  EXPECT_EQ(spec.hidden(768), 3072);
  EXPECT_EQ(spec.hidden(33), 256);
  spec.d_hidden = 10;
  EXPECT_EQ(spec.hidden(768), 10);
}

TEST(MlpSpec, TensorsByHand) {
  for (const std::string kind : {"swiglu", "gelu"}) {
    MlpSpec spec{.kind = kind, .d_hidden = 10, .bias = true};
    const int64_t rows = kind == "swiglu" ? 20 : 10;
    const auto tensors = tensors_by_name(spec.tensors(kPlace));
    EXPECT_EQ(tensors.size(), 4u);
    EXPECT_EQ(tensors.at("fc1.weight").shape, (Shape{rows, 32}));
    EXPECT_EQ(tensors.at("fc1.bias").shape, (Shape{rows}));
    EXPECT_EQ(tensors.at("fc2.weight").shape, (Shape{32, 10}));
    EXPECT_EQ(tensors.at("fc2.bias").shape, (Shape{32}));
    EXPECT_DOUBLE_EQ(tensors.at("fc1.weight").init.b, 1 / std::sqrt(32.0));
    EXPECT_DOUBLE_EQ(tensors.at("fc2.weight").init.b, 1 / std::sqrt(10.0 * 3 * 2));
    for (const auto& [name, tensor] : tensors) {
      EXPECT_EQ(tensor.decay, name.ends_with("weight")) << name;
      EXPECT_EQ(tensor.keep_f32, name.ends_with("bias")) << name;
    }
    spec.bias = false;
    EXPECT_EQ(spec.tensors(kPlace).size(), 2u);
    EXPECT_DOUBLE_EQ(spec.forward_flops(32), static_cast<double>(2 * 32 * rows + 2 * 10 * 32));
  }
  EXPECT_TRUE(MlpSpec{}.tensors(kPlace).empty());
  EXPECT_EQ(MlpSpec{}.forward_flops(32), 0);
}

TEST(MlpSpec, SaysWhatDoesNotFit) {
  expect_error([] { MlpSpec{.kind = "swigul"}.check(); }, ErrorKind::kConfig, "none, swiglu, gelu");
  expect_error([] { MlpSpec{.kind = "gelu", .d_hidden = -1}.check(); }, ErrorKind::kConfig,
               "mlp.d_hidden");
}

// A model with MLPs: a norm before each, and the head's arithmetic beside the layers'.
TEST(MlpSpec, InAModel) {
  ModelConfig config;
  config.vocab_size = 64;
  config.d_model = 32;
  config.n_layer = 2;
  config = testing::with(config, {{"layers", "softmax"}, {"softmax.head_dim", "8"}});
  const int64_t without = parameter_count(config);
  const double flops = forward_flops(config, 10);
  config = testing::with(config, {{"mlp.kind", "swiglu"}, {"mlp.d_hidden", "10"}});
  EXPECT_EQ(parameter_count(config) - without, 2 * (32 + 20 * 32 + 32 * 10));
  EXPECT_DOUBLE_EQ(forward_flops(config, 10) - flops, 2.0 * (2 * 20 * 32 + 2 * 32 * 10));
  EXPECT_EQ(config.place(0).branches, 2);
  EXPECT_EQ(tensors_by_name(tensor_specs(config)).at("backbone.layers.1.norm2.weight").shape,
            (Shape{32}));
}

}  // namespace
}  // namespace adder::model
