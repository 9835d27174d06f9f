// transformers' model_type "mamba" and "falcon_mamba".
#include <gtest/gtest.h>

#include "adder/model/directory.h"
#include "adder/model/hf.h"
#include "adder/model/mamba1_spec.h"
#include "adder/model/test_support.h"

namespace adder::model {
namespace {

using testing::expect_error;
using testing::options_of;
using testing::patched;
using testing::with;

ModelConfig small() {
  ModelConfig config;
  config.layers = {"mamba1"};
  config.vocab_size = 16;
  config.d_model = 32;
  config.n_layer = 2;
  return config;
}

const Mamba1Spec& mixer(const ModelConfig& config) {
  return static_cast<const Mamba1Spec&>(config.mixers.at("mamba1"));
}

ModelConfig read(const io::Json& json) {
  return config_from_json(json, "config.json");
}

TEST(HfMamba, RoundTrip) {
  const ModelConfig cases[] = {
      small(),
      with(small(), {{"tie_embeddings", "false"},
                     {"norm_eps", "1e-6"},
                     {"residual_in_fp32", "false"},
                     {"embedding_std", "0.5"},
                     {"mamba1.d_state", "5"},
                     {"mamba1.d_conv", "3"},
                     {"mamba1.expand", "3"},
                     {"mamba1.dt_rank", "7"},
                     {"mamba1.bias", "true"},
                     {"mamba1.conv_bias", "false"},
                     {"mamba1.dt_init", "constant"},
                     {"mamba1.dt_scale", "2"},
                     {"mamba1.dt_min", "0.01"},
                     {"mamba1.dt_max", "0.2"},
                     {"mamba1.dt_init_floor", "1e-3"}}),
      with(small(), {{"mamba1.norm_BCdt", "true"}, {"mamba1.norm_BCdt_eps", "1e-3"}})};
  for (const ModelConfig& config : cases) {
    EXPECT_FALSE(hf_misfit(config));
    EXPECT_EQ(options_of(read(config_to_json(config))), options_of(config));
  }
  EXPECT_EQ(config_to_json(cases[0]).at("model_type"), "mamba");
  EXPECT_EQ(config_to_json(cases[2]).at("model_type"), "falcon_mamba");
}

TEST(HfMamba, WhatDoesNotFit) {
  const ModelConfig mlp = with(small(), {{"mlp.kind", "swiglu"}});
  EXPECT_EQ(config_to_json(mlp).at("model_type"), "adder");
  expect_error([&] { config_to_hf(mlp); }, ErrorKind::kUnsupported, "mlp.kind = swiglu");
  ModelConfig mixed = small();
  mixed.layers = {"mamba1", "softmax"};
  expect_error([&] { config_to_hf(mixed); }, ErrorKind::kUnsupported, "mamba1 softmax");
}

// mamba-130m-hf has the Mamba authors' fields too; state-spaces' own counts (mamba-core 3.1).
TEST(HfMamba, PublishedSizes) {
  const auto json = io::parse_json(
      R"({"model_type": "mamba", "hidden_size": 768, "num_hidden_layers": 24, "vocab_size": 50280,
          "d_model": 768, "n_layer": 24, "ssm_cfg": {}, "rms_norm": true, "fused_add_norm": true,
          "pad_vocab_size_multiple": 8, "intermediate_size": 1536, "time_step_rank": 48})",
      "config.json");
  const ModelConfig config = read(json);
  EXPECT_EQ(parameter_count(config), 129'135'360);
  EXPECT_TRUE(config.tie_embeddings);
  const auto falcon = io::parse_json(
      R"({"model_type": "falcon_mamba", "hidden_size": 4096, "num_hidden_layers": 64, "expand": 16,
          "intermediate_size": 8192, "time_step_rank": 256, "vocab_size": 65024,
          "tie_word_embeddings": false})",
      "config.json");
  EXPECT_EQ(mixer(read(falcon)).expand, 2);
  EXPECT_TRUE(mixer(read(falcon)).norm_BCdt);
  EXPECT_EQ(mixer(read(falcon)).norm_BCdt_eps, 1e-6);
}

TEST(HfMamba, MissingFieldsTakeTheClassesDefaults) {
  const auto json = io::parse_json(
      R"({"model_type": "mamba", "hidden_size": 40, "num_hidden_layers": 1, "vocab_size": 8})", "");
  const ModelConfig config = read(json);
  EXPECT_EQ(mixer(config).d_state, 16);
  EXPECT_EQ(mixer(config).sizes(40).dt_rank, 3);  // 40 / 16, rounded up
  EXPECT_TRUE(mixer(config).conv_bias);
  EXPECT_FALSE(mixer(config).bias);
  EXPECT_EQ(mixer(read(patched(json, R"({"time_step_rank": "auto"})"))).sizes(40).dt_rank, 3);
}

TEST(HfMamba, Malformed) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"hidden_size": "64"})", "config.json: hidden_size"},
      {R"({"hidden_size": null})", "config.json: hidden_size"},
      {R"({"hidden_size": -8})", "config.json: hidden_size"},
      {R"({"num_hidden_layers": 99999999999})", "n_layer"},
      {R"({"num_hidden_layers": 0})", "config.json: num_hidden_layers"},
      {R"({"vocab_size": 64.5})", "config.json: vocab_size"},
      {R"({"state_size": 9223372036854775807})", "mamba1.d_state"},
      {R"({"conv_kernel": 100})", "mamba1.d_conv"},
      {R"({"time_step_rank": "much"})", "config.json: time_step_rank"},
      {R"({"time_step_rank": -1})", "config.json: time_step_rank"},
      {R"({"time_step_rank": 9223372036854775807})", "mamba1.dt_rank"},
      {R"({"intermediate_size": 0})", "config.json: intermediate_size"},
      {R"({"intermediate_size": null, "expand": 1e9})", "config.json: expand"},
      {R"({"intermediate_size": null, "expand": 2.5})", "config.json: expand"},
      {R"({"intermediate_size": null, "expand": 0.0})", "config.json: expand"},
      {R"({"intermediate_size": null, "expand": "2"})", "config.json: expand"},
      {R"({"intermediate_size": null, "expand": 9223372036854775807})", "config.json: expand"},
      {R"({"layer_norm_epsilon": "NaN"})", "config.json: layer_norm_epsilon"},
      {R"({"layer_norm_epsilon": Infinity})", "config.json: layer_norm_epsilon"},
      {R"({"time_step_min": -1})", "mamba1.dt_min"},
      {R"({"time_step_max": 1e-9})", "mamba1.dt_max"},
      {R"({"use_bias": "no"})", "config.json: use_bias"},
      {R"({"rms_norm": 1})", "config.json: rms_norm"},
      {R"({"tie_word_embeddings": 1})", "config.json: tie_word_embeddings"}};
  const io::Json good = config_to_hf(small());
  const auto three = read(patched(good, R"({"intermediate_size": null, "expand": 3.0})"));
  EXPECT_EQ(mixer(three).expand, 3);
  for (const auto& [patch, part] : cases) {
    expect_error([&] { read(patched(good, patch)); }, ErrorKind::kConfig, part);
    expect_error([&] { read(patched(good, patch)); }, ErrorKind::kConfig, "config.json");
  }
  const std::pair<const char*, const char*> unsupported[] = {
      {R"({"intermediate_size": 48})", "config.json: intermediate_size"},
      {R"({"hidden_act": "gelu"})", "config.json: hidden_act"},
      {R"({"rms_norm": false})", "config.json: rms_norm"},
      {R"({"quantization_config": {"bits": 4}})", "config.json: quantization_config"},
      {R"({"model_type": "jamba"})", "falcon_mamba, mamba2"}};
  for (const auto& [patch, part] : unsupported) {
    expect_error([&] { read(patched(good, patch)); }, ErrorKind::kUnsupported, part);
  }
  for (const char* key : {"hidden_size", "num_hidden_layers", "vocab_size"}) {
    io::Json json = good;
    json.erase(key);
    expect_error([&] { read(json); }, ErrorKind::kConfig, key);
  }
}

TEST(HfMamba, SpecialTokensOfTheClass) {
  const io::testing::TemporaryFolder folder;
  const auto tokens = [&](const char* config) {
    return read_special_tokens(folder.path(), io::parse_json(config, ""), "config.json", 9);
  };
  EXPECT_EQ(tokens(R"({"model_type": "mamba"})"), (SpecialTokens{0, 0, {0}}));
  EXPECT_EQ(tokens(R"({"model_type": "falcon_mamba"})"), (SpecialTokens{0, 0, {0}}));
  EXPECT_EQ(tokens(R"({"model_type": "mamba2"})"), (SpecialTokens{0, 1, {2}}));
  EXPECT_EQ(tokens(R"({"model_type": "mamba2", "eos_token_id": null, "pad_token_id": 5})"),
            (SpecialTokens{0, 5, {}}));
  EXPECT_EQ(tokens(R"({"model_type": "adder"})"), SpecialTokens{});
  EXPECT_EQ(tokens(R"({"model_type": 3})"), SpecialTokens{});
  folder.file("generation_config.json", R"({"eos_token_id": null, "bos_token_id": 7})");
  EXPECT_EQ(tokens(R"({"model_type": "mamba2"})"), (SpecialTokens{7, 1, {}}));
}

}  // namespace
}  // namespace adder::model
