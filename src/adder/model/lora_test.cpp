#include "adder/model/lora.h"

#include <gtest/gtest.h>

#include <cmath>

#include "adder/base/error.h"

namespace adder::model {
namespace {

ModelConfig with_options(const std::vector<std::string>& options) {
  ModelConfig config;
  config.vocab_size = 30;
  config.d_model = 16;
  config.n_layer = 2;
  const auto entries = flatten(config);
  for (const std::string& option : options) {
    const std::size_t split = option.find('=');
    set_from_text(find_option(entries, option.substr(0, split)), option.substr(split + 1));
  }
  return config;
}

using Names = std::vector<std::string>;

TEST(Lora, EveryLinearOfAMixerAndAnMlp) {
  const auto config = with_options(
      {"layers=mamba1,mamba2", "mlp.kind=swiglu", "mamba2.head_dim=8", "tie_embeddings=false"});
  const std::string first = "backbone.layers.0.", second = "backbone.layers.1.";
  EXPECT_EQ(linear_names(config),
            Names({first + "mixer.in_proj", first + "mixer.x_proj", first + "mixer.dt_proj",
                   first + "mixer.out_proj", first + "mlp.fc1", first + "mlp.fc2",
                   second + "mixer.in_proj", second + "mixer.out_proj", second + "mlp.fc1",
                   second + "mlp.fc2"}));
}

TEST(Lora, TargetsAreNamesOrTheirEnds) {
  const auto config = with_options({"mamba2.head_dim=8"});
  const auto chosen = [&](const Names& targets) {
    return lora_linears(config, {.rank = 2, .targets = targets});
  };
  const std::string first = "backbone.layers.0.mixer.", second = "backbone.layers.1.mixer.";
  EXPECT_EQ(chosen({"in_proj"}), Names({first + "in_proj", second + "in_proj"}));
  EXPECT_EQ(chosen({"1.mixer.out_proj", first + "in_proj"}),
            Names({first + "in_proj", second + "out_proj"}));
  EXPECT_EQ(chosen({"all"}), linear_names(config));
  for (const char* unknown : {"proj", "x_proj", "conv1d", "embeddings", "lm_head", ""}) {
    try {
      chosen({"in_proj", unknown});
      ADD_FAILURE() << unknown;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kConfig);
      EXPECT_NE(std::string(error.what()).find("in_proj, out_proj"), std::string::npos)
          << error.what();
    }
  }
}

TEST(Lora, TensorsOfTheAdapters) {
  const auto config = with_options({"mamba2.head_dim=8"});
  const auto specs = lora_specs(config, {.rank = 3, .targets = {"out_proj"}});
  ASSERT_EQ(specs.size(), 4u);
  EXPECT_EQ(specs[2].name, "backbone.layers.1.mixer.out_proj.lora_A.weight");
  EXPECT_EQ(specs[2].shape, Shape({3, 32}));
  EXPECT_EQ(specs[3].name, "backbone.layers.1.mixer.out_proj.lora_B.weight");
  EXPECT_EQ(specs[3].shape, Shape({16, 3}));
  // Kaiming's uniform start with a = sqrt(5), as the authors' code has it: +-1/sqrt(in).
  std::vector<float> values(96);
  initialise(specs[2], 1, values.data());
  float largest = 0;
  for (const float value : values) largest = std::max(largest, std::abs(value));
  EXPECT_LE(largest, 1 / std::sqrt(32.0));
  EXPECT_GT(largest, 0.8 / std::sqrt(32.0));
  values.resize(48);
  initialise(specs[3], 1, values.data());
  for (const float value : values) EXPECT_EQ(value, 0);
}

TEST(Lora, AnAdapterWiderThanTheModelIsRefused) {
  const auto config = with_options({"mamba2.head_dim=8"});  // d_model is 16
  EXPECT_NO_THROW(lora_specs(config, {.rank = 16, .targets = {"out_proj"}}));
  try {
    lora_specs(config, {.rank = 17, .targets = {"out_proj"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    EXPECT_NE(std::string(error.what()).find("d_model = 16"), std::string::npos) << error.what();
  }
}

TEST(Lora, OptionsOutOfRange) {
  LoraOptions options;
  EXPECT_NO_THROW(options.check());
  EXPECT_FALSE(options.given());
  options.rank = 8;
  EXPECT_DOUBLE_EQ(options.scale(), 2);
  options.targets.clear();
  EXPECT_THROW(options.check(), Error);
  EXPECT_THROW(LoraOptions{.rank = -1}.check(), Error);
  EXPECT_THROW(LoraOptions{.alpha = 8}.check(), Error);
  EXPECT_THROW(LoraOptions{.targets = {"all"}}.check(), Error);
  EXPECT_THROW((LoraOptions{.rank = 4, .alpha = 0}).check(), Error);
}

}  // namespace
}  // namespace adder::model
