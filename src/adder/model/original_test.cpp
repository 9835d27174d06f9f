// The Mamba authors' and Mistral's config files.
#include "adder/model/original.h"

#include <gtest/gtest.h>

#include "adder/model/directory.h"
#include "adder/model/mamba1_spec.h"
#include "adder/model/mamba2_spec.h"
#include "adder/model/mistral.h"
#include "adder/model/softmax_spec.h"
#include "adder/model/test_support.h"

namespace adder::model {
namespace {

using testing::expect_error;
using testing::options_of;
using testing::patched;
using testing::with;

ModelConfig read(const io::Json& json) {
  return config_from_json(json, "config.json");
}

ModelConfig read_text(const char* text) {
  return read(io::parse_json(text, "config.json"));
}

/// Of a published model, as its config.json says it.
int64_t parameters(int64_t d_model, int64_t n_layer, const char* ssm_cfg, int64_t multiple) {
  io::Json json = {{"d_model", d_model}, {"n_layer", n_layer}, {"vocab_size", 50277}};
  json["ssm_cfg"] = io::parse_json(ssm_cfg, "");
  json["pad_vocab_size_multiple"] = multiple;
  return parameter_count(read(json));
}

TEST(Original, PublishedSizes) {  // mamba-core 3.1
  EXPECT_EQ(parameters(768, 24, "{}", 8), 129'135'360);
  EXPECT_EQ(parameters(1024, 48, "{}", 8), 371'516'416);
  EXPECT_EQ(parameters(1536, 48, "{}", 8), 793'204'224);
  EXPECT_EQ(parameters(2048, 48, "{}", 8), 1'372'178'432);
  EXPECT_EQ(parameters(2560, 64, "{}", 8), 2'768'345'600);
  const char* mamba2 = R"({"layer": "Mamba2"})";
  EXPECT_EQ(parameters(768, 24, mamba2, 16), 128'989'632);
  EXPECT_EQ(parameters(1024, 48, mamba2, 16), 368'346'624);
  EXPECT_EQ(parameters(1536, 48, mamba2, 16), 780'161'280);
  EXPECT_EQ(parameters(2048, 48, mamba2, 16), 1'343'757'312);
  EXPECT_EQ(parameters(2560, 64, mamba2, 16), 2'702'599'680);
}

// mamba2attn-2.7b: 58 layers of 40'235'600 parameters and 6 of 2560 * 11520 + 11520 * 4 + 11520 +
// 3840 * 2560 in attention, a norm each, the last norm and the embedding.
TEST(Original, PublishedHybrid) {
  const ModelConfig config = read_text(R"({
      "d_model": 2560, "d_intermediate": 0, "n_layer": 64, "vocab_size": 50277,
      "ssm_cfg": {"layer": "Mamba2"}, "attn_layer_idx": [9, 18, 27, 36, 45, 56],
      "attn_cfg": {"causal": true, "d_conv": 4, "head_dim": 128, "num_heads": 30,
                   "out_proj_bias": false, "qkv_proj_bias": false, "rotary_emb_dim": 64},
      "rms_norm": true, "residual_in_fp32": true, "fused_add_norm": true,
      "pad_vocab_size_multiple": 16, "tie_embeddings": true})");
  const int64_t mamba2 = 10576 * 2560 + 5376 * 5 + 3 * 80 + 5120 + 5120 * 2560;
  const int64_t attention = 2560 * 11520 + 11520 * 5 + 3840 * 2560;
  EXPECT_EQ(parameter_count(config),
            58 * mamba2 + 6 * attention + 65 * 2560 + int64_t{50288} * 2560);
  EXPECT_EQ(config.mixer(9).kind(), "softmax");
  EXPECT_EQ(config.mixer(10).kind(), "mamba2");
  EXPECT_EQ(options_of(read(config_to_original(config))), options_of(config));
}

TEST(Original, GoldenHybrid) {
  const ModelConfig config = read_config(testing::kGolden / "original-hybrid" / "config.json");
  EXPECT_EQ(config.vocab_size, 64);  // 61, padded
  const auto& attention = static_cast<const SoftmaxSpec&>(config.mixers.at("softmax"));
  EXPECT_EQ(attention.scale, 0.3);
  EXPECT_EQ(attention.n_kv_heads, 2);
  EXPECT_EQ(attention.rotary_dim, 4);
  EXPECT_EQ(attention.rotary_base, 100);
  EXPECT_TRUE(attention.out_bias);
  EXPECT_FALSE(attention.qkv_bias);
  EXPECT_EQ(static_cast<const Mamba2Spec&>(config.mixers.at("mamba2")).n_groups, 2);
}

// The defaults of the package's classes (mamba-core 2.2, 2.5).
TEST(Original, MissingFieldsTakeThePackagesDefaults) {
  const ModelConfig config = read_text(R"({
      "d_model": 128, "n_layer": 2, "ssm_cfg": {"layer": "Mamba2"}, "attn_layer_idx": [1],
      "attn_cfg": {"causal": true, "num_heads": 4}})");
  EXPECT_EQ(config.vocab_size, 50280);
  EXPECT_TRUE(config.tie_embeddings && config.residual_in_fp32);
  EXPECT_FALSE(config.mlp.given());
  const auto& mamba2 = static_cast<const Mamba2Spec&>(config.mixers.at("mamba2"));
  EXPECT_EQ(mamba2.gated_norm, "after");
  EXPECT_EQ(mamba2.chunk_size, 256);
  EXPECT_EQ(mamba2.dt_limit_min, 0);
  EXPECT_EQ(mamba2.dt_limit_max, 1e300);
  const auto& attention = static_cast<const SoftmaxSpec&>(config.mixers.at("softmax"));
  EXPECT_EQ(attention.head_dim, 32);
  EXPECT_EQ(attention.n_kv_heads, 0);
  EXPECT_EQ(attention.rotary_dim, 0);
  EXPECT_EQ(attention.rotary_base, 10000);
  EXPECT_FALSE(attention.rotary_interleaved);
  EXPECT_TRUE(attention.qkv_bias && attention.out_bias);
  EXPECT_EQ(attention.scale, 0);
  EXPECT_EQ(attention.d_conv, 0);
  EXPECT_EQ(attention.d_mlp, 0);
}

ModelConfig base(const char* mixer) {
  ModelConfig config;
  config.layers = {mixer};
  config.vocab_size = 24;
  config.d_model = 64;
  config.n_layer = 3;
  return with(config, {{"mamba2.head_dim", "16"}, {"softmax.head_dim", "16"}});
}

TEST(Original, RoundTrip) {
  ModelConfig hybrid = base("mamba1");
  hybrid.layers = {"mamba1", "softmax", "mamba1"};
  const ModelConfig cases[] = {base("mamba1"),
                               with(base("mamba1"), {{"tie_embeddings", "false"},
                                                     {"residual_in_fp32", "false"},
                                                     {"mamba1.d_state", "4"},
                                                     {"mamba1.dt_rank", "9"},
                                                     {"mamba1.dt_init", "constant"},
                                                     {"mamba1.bias", "true"}}),
                               base("mamba2"),
                               with(base("mamba2"), {{"mamba2.d_ssm", "32"},
                                                     {"mamba2.D_has_head_dim", "true"},
                                                     {"mamba2.gated_norm", "before"},
                                                     {"mamba2.conv_init", "0.5"},
                                                     {"mamba2.dt_limit_min", "0.01"},
                                                     {"mamba2.A_max", "4"}}),
                               with(base("mamba2"), {{"mamba2.gated_norm", "none"},
                                                     {"mamba2.dt_limit_max", "0.5"},
                                                     {"mlp.kind", "swiglu"},
                                                     {"mlp.d_hidden", "256"}}),
                               with(hybrid, {{"softmax.n_heads", "3"},
                                             {"softmax.n_kv_heads", "1"},
                                             {"softmax.rotary_dim", "8"},
                                             {"softmax.rotary_base", "500"},
                                             {"softmax.rotary_interleaved", "true"},
                                             {"softmax.scale", "0.2"},
                                             {"softmax.qkv_bias", "true"},
                                             {"softmax.d_conv", "4"},
                                             {"softmax.d_mlp", "256"}})};
  for (const ModelConfig& config : cases) {
    const io::Json json = config_to_original(config);
    if (config.layers == std::vector<std::string>{"mamba1"}) {
      EXPECT_FALSE(json.at("ssm_cfg").contains("layer"));  // as the first versions wrote it
    }
    // Of the mixers that it uses.
    EXPECT_EQ(config_to_adder(read(json)).dump(2), config_to_adder(config).dump(2));
  }
}

TEST(Original, WhatDoesNotFit) {
  const std::tuple<const char*, const char*, const char*> cases[] = {
      {"mamba1", "norm_eps", "1e-6"},        {"mamba1", "mamba1.norm_BCdt", "true"},
      {"mamba2", "mamba2.norm_eps", "1e-6"}, {"mamba2", "mamba2.learnable_init_states", "true"},
      {"softmax", "softmax.window", "8"},    {"softmax", "softmax.d_mlp", "100"},
      {"mamba1", "mlp.kind", "gelu"},        {"mamba1", "norm", "none"},
      {"mamba2", "residual", "false"},       {"softmax", "head_bias", "true"}};
  for (const auto& [mixer, key, value] : cases) {
    const ModelConfig config = with(base(mixer), {{key, value}});
    expect_error([&] { config_to_original(config); }, ErrorKind::kUnsupported, key);
  }
  const ModelConfig full =
      with(base("mamba2"), {{"mamba2.n_groups", "2"}, {"mamba2.norm_group", "full"}});
  expect_error([&] { config_to_original(full); }, ErrorKind::kUnsupported, "mamba2.norm_group");
  const ModelConfig odd = with(base("mamba2"), {{"mlp.kind", "swiglu"}, {"mlp.d_hidden", "100"}});
  expect_error([&] { config_to_original(odd); }, ErrorKind::kUnsupported, "mlp.d_hidden");
  ModelConfig mixed = base("mamba2");
  mixed.layers = {"mamba1", "mamba2"};
  expect_error([&] { config_to_original(mixed); }, ErrorKind::kUnsupported, "layers");
}

const char* const kGood = R"({
    "d_model": 64, "n_layer": 3, "vocab_size": 21, "ssm_cfg": {"layer": "Mamba2", "headdim": 16},
    "attn_layer_idx": [1], "attn_cfg": {"causal": true, "num_heads": 4}})";

TEST(Original, Malformed) {
  const io::Json good = io::parse_json(kGood, "config.json");
  EXPECT_NO_THROW(read(good));
  const std::pair<const char*, const char*> cases[] = {
      {R"({"n_layers": 3})", "did you mean 'n_layer'"},
      {R"({"d_model": "64"})", "config.json: d_model"},
      {R"({"d_model": -1})", "config.json: d_model"},
      {R"({"d_model": 1e300})", "config.json: d_model"},
      {R"({"n_layer": 9223372036854775807})", "config.json: n_layer"},
      {R"({"n_layer": 2.0})", "config.json: n_layer"},
      {R"({"n_layer": null})", "config.json: n_layer"},
      {R"({"vocab_size": 9223372036854775807})", "config.json: vocab_size"},
      {R"({"pad_vocab_size_multiple": 0})", "config.json: pad_vocab_size_multiple"},
      {R"({"pad_vocab_size_multiple": 9223372036854775807})", "pad_vocab_size_multiple"},
      {R"({"d_intermediate": -1})", "config.json: d_intermediate"},
      {R"({"d_intermediate": 9223372036854775807})", "d_intermediate"},
      {R"({"tie_embeddings": 1})", "config.json: tie_embeddings"},
      {R"({"fused_add_norm": "yes"})", "config.json: fused_add_norm"},
      {R"({"ssm_cfg": []})", "config.json: ssm_cfg"},
      {R"({"ssm_cfg": {"layer": 2}})", "config.json: ssm_cfg.layer"},
      {R"({"ssm_cfg": {"d_stat": 4}})", "did you mean 'd_state'"},
      {R"({"ssm_cfg": {"headdim": 16}})", "there is no field 'headdim'"},
      {R"({"ssm_cfg": {"layer": "Mamba2", "headdim": 7}})", "mamba2.head_dim"},
      {R"({"ssm_cfg": {"layer": "Mamba2", "dt_limit": [0]}})", "config.json: ssm_cfg.dt_limit"},
      {R"({"ssm_cfg": {"layer": "Mamba2", "conv_init": 0}})", "config.json: ssm_cfg.conv_init"},
      {R"({"attn_layer_idx": 1})", "config.json: attn_layer_idx"},
      {R"({"attn_layer_idx": [3]})", "config.json: attn_layer_idx[0]"},
      {R"({"attn_layer_idx": [-1]})", "config.json: attn_layer_idx[0]"},
      {R"({"attn_layer_idx": [1, 1]})", "config.json: attn_layer_idx[1]"},
      {R"({"attn_cfg": null})", "config.json: attn_cfg: the key"},
      {R"({"attn_cfg": {"causal": true, "num_heads": 5}})", "config.json: attn_cfg.num_heads"},
      {R"({"attn_cfg": {"causal": true, "num_heads": 0}})", "config.json: attn_cfg.num_heads"},
      {R"({"attn_cfg": {"causal": true, "num_heads": 4, "heads": 1}})", "no field 'heads'"},
      {R"({"attn_cfg": {"causal": true, "num_heads": 4, "mlp_dim": 9223372036854775807}})",
       "mlp_dim"},
      {R"({"attn_cfg": {"causal": true, "num_heads": 4, "num_heads_kv": 3}})",
       "softmax.n_kv_heads"}};
  for (const auto& [patch, part] : cases) {
    expect_error([&] { read(patched(good, patch)); }, ErrorKind::kConfig, part);
    expect_error([&] { read(patched(good, patch)); }, ErrorKind::kConfig, "config.json");
  }
  const std::pair<const char*, const char*> unsupported[] = {
      {R"({"rms_norm": false})", "config.json: rms_norm"},
      {R"({"ssm_cfg": {"layer": "Mamba3"}})", "config.json: ssm_cfg.layer"},
      {R"({"attn_cfg": {"num_heads": 4}})", "config.json: attn_cfg.causal"}};
  for (const auto& [patch, part] : unsupported) {
    expect_error([&] { read(patched(good, patch)); }, ErrorKind::kUnsupported, part);
  }
  expect_error([&] { read_text(R"({"d_model": 64})"); }, ErrorKind::kConfig, "n_layer");
  expect_error([&] { read_text("[]"); }, ErrorKind::kConfig, "config.json");
  expect_error([&] { read_text("{}"); }, ErrorKind::kConfig, "model_type");
}

TEST(Original, SpecialTokens) {
  const auto tokens = [](const char* text) {
    return default_special_tokens(io::parse_json(text, ""));
  };
  EXPECT_EQ(tokens(R"({"d_model": 64, "n_layer": 3})"), (SpecialTokens{0, 0, {0}}));
  EXPECT_EQ(tokens(R"({"d_model": 64, "vocab_size": 50277})"), (SpecialTokens{0, 0, {0}}));
  EXPECT_EQ(tokens(R"({"d_model": 64, "vocab_size": 100})"), SpecialTokens{});
  EXPECT_EQ(tokens(R"({"dim": 64, "n_layers": 3})"), (SpecialTokens{1, std::nullopt, {2}}));
}

TEST(Mistral, Codestral) {
  const io::Json params = io::parse_json(
      R"({"dim": 4096, "n_layers": 64, "vocab_size": 32768, "n_groups": 8, "rms_norm": true,
          "residual_in_fp32": true, "fused_add_norm": true, "pad_vocab_size_multiple": 1,
          "tie_embeddings": false, "model_type": "mamba"})",
      "params.json");
  const ModelConfig config = config_from_json(params, "params.json");
  EXPECT_EQ(parameter_count(config), 7'285'403'648);
  EXPECT_FALSE(config.tie_embeddings);
  const auto& mixer = static_cast<const Mamba2Spec&>(config.mixers.at("mamba2"));
  EXPECT_EQ(mixer.n_groups, 8);
  EXPECT_EQ(mixer.norm_group, "group");
  const std::pair<const char*, const char*> cases[] = {
      {R"({"dim": "4096"})", "params.json: dim"},
      {R"({"n_layers": null})", "params.json: n_layers"},
      {R"({"n_groups": null})", "params.json: n_groups"},
      {R"({"n_groups": 7})", "mamba2.n_groups"},
      {R"({"d_state": 32})", "there is no field 'd_state'"},
      {R"({"vocab_size": 0})", "params.json: vocab_size"}};
  for (const auto& [patch, part] : cases) {
    const auto attempt = [&] { config_from_json(patched(params, patch), "params.json"); };
    expect_error(attempt, ErrorKind::kConfig, part);
  }
  EXPECT_TRUE(is_mistral(params));
  EXPECT_FALSE(is_mistral(patched(params, R"({"hidden_size": 4096})")));  // of Hugging Face
  EXPECT_FALSE(is_mistral(io::parse_json(R"({"dim": 4096})", "")));
  for (const char* patch : {R"({"rms_norm": false})", R"({"model_type": "transformer"})"}) {
    const auto attempt = [&] { config_from_json(patched(params, patch), "params.json"); };
    expect_error(attempt, ErrorKind::kUnsupported, "params.json");
  }
}

}  // namespace
}  // namespace adder::model
