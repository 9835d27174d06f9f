#include "adder/model/directory.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "adder/base/error.h"
#include "adder/base/log.h"
#include "adder/io/file.h"
#include "adder/io/safetensors.h"
#include "adder/model/convert.h"
#include "adder/model/hf.h"
#include "adder/model/mamba2_spec.h"

namespace adder::model {
namespace {

namespace fs = std::filesystem;

Mamba2Spec& mamba2(ModelConfig& config) {
  return static_cast<Mamba2Spec&>(config.mixers.at("mamba2"));
}

ModelConfig small() {
  ModelConfig config;
  config.vocab_size = 16;
  config.d_model = 8;
  config.n_layer = 2;
  mamba2(config).head_dim = 4;
  mamba2(config).d_state = 4;
  return config;
}

/// A folder of this test alone, gone afterwards.
class ModelFolder : public testing::Test {
 protected:
  ModelFolder() {
    const auto* info = testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() /
              (std::string("adder_model_") + info->name() + "_" + std::to_string(getpid()));
    fs::create_directories(folder_);
  }
  ~ModelFolder() override { fs::remove_all(folder_); }

  fs::path folder_;
};

/// A config with its weights.
struct Filled {
  explicit Filled(const ModelConfig& config) : config(config) {
    for (const TensorSpec& spec : tensor_specs(config)) {
      auto& values = storage[spec.name];
      values.resize(static_cast<std::size_t>(element_count(spec.shape)));
      initialise(spec, 3, values.data());
      weights[spec.name] = {values.data(), DType::f32, spec.shape};
    }
  }
  ModelConfig config;
  std::map<std::string, std::vector<float>> storage;
  Weights weights;
};

/// Every option as text: equal texts are equal configs.
std::string options_of(ModelConfig config) {
  std::string text;
  for (const OptionEntry& entry : flatten(config))
    text += entry.key + "=" + to_text(entry.value) + "\n";
  return text;
}

template <typename Function>
std::string error_of(Function&& function, ErrorKind kind) {
  try {
    function();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// --- configurations
// ----------------------------------------------------------------------------------

TEST(ConfigJson, HuggingFaceRoundTrip) {
  ModelConfig config = small();
  EXPECT_EQ(config_to_json(config).at("model_type"), "mamba2");
  EXPECT_FALSE(config_to_json(config).contains("time_step_limit"));
  EXPECT_EQ(options_of(config_from_json(config_to_json(config), "config.json")),
            options_of(config));
  config.tie_embeddings = false;
  config.norm_eps = mamba2(config).norm_eps = 1e-6;
  mamba2(config).n_groups = 2;
  mamba2(config).norm_group = "full";
  mamba2(config).bias = true;
  mamba2(config).conv_bias = false;
  mamba2(config).dt_limit_min = 0.01;
  mamba2(config).chunk_size = 32;
  EXPECT_EQ(options_of(config_from_json(config_to_json(config), "config.json")),
            options_of(config));
  mamba2(config).dt_limit_max = 0.5;
  EXPECT_EQ(options_of(config_from_json(config_to_json(config), "config.json")),
            options_of(config));
}

TEST(ConfigJson, WhatHuggingFaceCannotExpressIsAddersOwn) {
  const std::vector<std::pair<const char*, const char*>> options = {
      {"mamba2.D_has_head_dim", "true"},
      {"mamba2.gated_norm", "none"},
      {"mamba2.gated_norm", "before"},
      {"mamba2.d_ssm", "8"},
      {"mamba2.norm_eps", "0.001"},
      {"mamba2.learnable_init_states", "true"},
      {"norm", "none"},
      {"residual", "false"},
      {"head_bias", "true"}};
  for (const auto& [key, value] : options) {
    ModelConfig config = small();
    set_from_text(find_option(flatten(config), key), value);
    config.check();
    const io::Json json = config_to_json(config);
    EXPECT_EQ(json.at("model_type"), "adder") << key;
    EXPECT_EQ(options_of(config_from_json(json, "config.json")), options_of(config));
    const auto error = error_of([&] { config_to_hf(config); }, ErrorKind::kUnsupported);
    EXPECT_TRUE(contains(error, key)) << error;
  }
}

io::Json hf(const char* text) {
  io::Json json = config_to_hf(small());
  json.update(io::parse_json(text, "patch"));
  return json;
}

TEST(ConfigJson, HuggingFaceFieldsThatMatter) {
  const auto read = [](const char* patch) { return config_from_json(hf(patch), "config.json"); };
  ModelConfig config = read(R"({"some_new_field": 7, "use_cache": true})");
  EXPECT_EQ(options_of(config), options_of(small()));
  config = read(R"({"time_step_limit": [0.0, "Infinity"]})");
  EXPECT_EQ(mamba2(config).dt_limit_max, 1e300);
  config = read(R"({"time_step_limit": [0.0, Infinity]})");
  EXPECT_EQ(mamba2(config).dt_limit_max, 1e300);
  EXPECT_TRUE(
      contains(error_of([&] { read(R"({"hidden_act": "gelu"})"); }, ErrorKind::kUnsupported),
               "config.json: hidden_act"));
  EXPECT_TRUE(contains(error_of([&] { read(R"({"rms_norm": false})"); }, ErrorKind::kUnsupported),
                       "config.json: rms_norm"));
  EXPECT_TRUE(contains(error_of([&] { read(R"({"num_heads": 5})"); }, ErrorKind::kConfig),
                       "config.json: num_heads"));
}

TEST(ConfigJson, MissingHuggingFaceFieldsTakeItsDefaults) {
  const auto json = io::parse_json(
      R"({"model_type": "mamba2", "vocab_size": 32768, "hidden_size": 4096, "num_hidden_layers": 64,
          "num_heads": 128, "head_dim": 64})",
      "config.json");
  ModelConfig config = config_from_json(json, "config.json");
  EXPECT_EQ(mamba2(config).n_groups, 8);
  EXPECT_EQ(mamba2(config).d_state, 128);
  EXPECT_EQ(mamba2(config).norm_group, "group");
  EXPECT_FALSE(config.tie_embeddings);
  EXPECT_EQ(parameter_count(config), 7'285'403'648);  // Codestral Mamba
}

TEST(ConfigJson, MalformedHuggingFaceConfigs) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"hidden_size": "64"})", "config.json: hidden_size"},
      {R"({"hidden_size": 64.5})", "config.json: hidden_size"},
      {R"({"hidden_size": -8})", "config.json: hidden_size"},
      {R"({"num_hidden_layers": 99999999999})", "n_layer"},
      {R"({"num_hidden_layers": 1e3})", "config.json: num_hidden_layers"},
      {R"({"head_dim": 9223372036854775807})", "config.json: num_heads"},
      {R"({"expand": 9223372036854775807})", "config.json: expand"},
      {R"({"state_size": 9223372036854775807})", "mamba2.d_state"},
      {R"({"n_groups": 0})", "config.json: n_groups"},
      {R"({"vocab_size": 9223372036854775807})", "vocab_size"},
      {R"({"layer_norm_epsilon": "NaN"})", "config.json: layer_norm_epsilon"},
      {R"({"layer_norm_epsilon": Infinity})", "config.json: layer_norm_epsilon"},
      {R"({"hidden_size": Infinity})", "config.json: hidden_size"},
      {R"({"time_step_limit": [-Infinity, 1]})", "mamba2.dt_limit_min"},
      {R"({"time_step_limit": [1]})", "config.json: time_step_limit"},
      {R"({"time_step_limit": ["-Infinity", 1]})", "config.json: time_step_limit"},
      {R"({"time_step_limit": [2, 1]})", "mamba2.dt_limit_max"},
      {R"({"use_bias": 1})", "config.json: use_bias"},
      {R"({"norm_group": "half"})", "mamba2.norm_group"},
      {R"({"hidden_size": null})", "config.json: hidden_size"}};
  for (const auto& [patch, part] : cases) {
    const auto error =
        error_of([&] { config_from_json(hf(patch), "config.json"); }, ErrorKind::kConfig);
    EXPECT_TRUE(contains(error, part)) << patch << "\n" << error;
    EXPECT_TRUE(contains(error, "config.json")) << error;
  }
}

TEST(ConfigJson, MalformedAdderConfigs) {
  ModelConfig config = small();
  mamba2(config).gated_norm = "none";
  const io::Json good = config_to_json(config);
  const std::pair<const char*, const char*> cases[] = {
      {R"({"d_modle": 8})", "d_model"},
      {R"({"mamba2": {"d_stat": 4}})", "d_state"},
      {R"({"mamba2": 7})", "mamba2"},
      {R"({"d_model": "8"})", "config.json: d_model"},
      {R"({"layers": "mamba2"})", "config.json: layers"},
      {R"({"n_layer": 1e30})", "config.json: n_layer"},
      {R"({"n_layer": 100000000})", "n_layer"},
      {R"({"d_model": {"a": 1}})", "config.json: d_model"},
      {R"({"layers": ["mambo2"]})", "did you mean 'mamba2'"}};
  for (const auto& [patch, part] : cases) {
    io::Json json = good;
    json.update(io::parse_json(patch, "patch"));
    const auto error = error_of([&] { config_from_json(json, "config.json"); }, ErrorKind::kConfig);
    EXPECT_TRUE(contains(error, part)) << patch << "\n" << error;
    EXPECT_TRUE(contains(error, "config.json")) << error;
  }
  io::Json json = good;
  json.erase("d_model");
  EXPECT_TRUE(contains(error_of([&] { config_from_json(json, "config.json"); }, ErrorKind::kConfig),
                       "d_model"));
  json["model_type"] = "llama";
  EXPECT_TRUE(contains(
      error_of([&] { config_from_json(json, "config.json"); }, ErrorKind::kUnsupported), "llama"));
}

// transformers' Mamba2Config has no such field: its gate always comes first.
TEST(ConfigJson, NormBeforeGateIsIgnoredWithANote) {
  std::string noted;
  const LogSink before = set_log_sink([&](LogLevel, std::string_view text) { noted = text; });
  ModelConfig config = config_from_json(hf(R"({"norm_before_gate": true})"), "config.json");
  set_log_sink(before);
  EXPECT_EQ(mamba2(config).gated_norm, "after");
  EXPECT_TRUE(contains(noted, "config.json: norm_before_gate")) << noted;
}

TEST(ConfigJson, AddersLayoutExpressesEveryConfig) {
  const io::Json json = config_to_adder(small());
  EXPECT_EQ(json.at("model_type"), "adder");
  EXPECT_EQ(options_of(config_from_json(json, "config.json")), options_of(small()));
}

// --- folders
// -----------------------------------------------------------------------------------------

TEST_F(ModelFolder, RoundTripKeepsEveryByte) {
  for (const bool tied : {true, false}) {
    ModelConfig config = small();
    config.tie_embeddings = tied;
    const Filled model(config);
    save_model(folder_, config, model.weights);
    const ModelDirectory read = ModelDirectory::open(folder_);
    EXPECT_EQ(options_of(read.config()), options_of(config));
    ASSERT_EQ(read.weights().size(), model.weights.size());
    for (const auto& [name, values] : model.storage) {
      const TensorView& tensor = read.weights().at(name);
      EXPECT_EQ(std::memcmp(tensor.data, values.data(), values.size() * 4), 0) << name;
    }
  }
}

TEST_F(ModelFolder, StoredAsBf16KeepsTheSmallTensors) {
  const Filled model(small());
  save_model(folder_, model.config, model.weights, {.dtype = DType::bf16});
  const ModelDirectory read = ModelDirectory::open(folder_);
  const TensorView& matrix = read.weights().at("backbone.layers.0.mixer.in_proj.weight");
  EXPECT_EQ(matrix.dtype, DType::bf16);
  EXPECT_EQ(element(matrix, 5),
            to_float(to_bf16(model.storage.at("backbone.layers.0.mixer.in_proj.weight")[5])));
  EXPECT_EQ(read.weights().at("backbone.layers.0.mixer.A_log").dtype, DType::f32);
  EXPECT_TRUE(contains(io::read_file(folder_ / "config.json", 1 << 20), "bfloat16"));
}

TEST_F(ModelFolder, WeightsTooLargeForF16) {
  Filled model(small());
  const std::string name = "backbone.layers.1.mixer.out_proj.weight";
  model.storage.at(name)[3] = 65519;  // the largest that rounds to a finite one
  save_model(folder_, model.config, model.weights, {.dtype = DType::f16});
  for (const float value : {65520.0f, -1e30f}) {
    model.storage.at(name)[3] = value;
    const auto error =
        error_of([&] { save_model(folder_, model.config, model.weights, {.dtype = DType::f16}); },
                 ErrorKind::kNumeric);
    EXPECT_TRUE(contains(error, name)) << error;
    EXPECT_TRUE(contains(error, "use bf16")) << error;
  }
  save_model(folder_, model.config, model.weights, {.dtype = DType::bf16});
  model.storage.at(name)[3] = std::numeric_limits<float>::infinity();  // it was so before
  save_model(folder_, model.config, model.weights, {.dtype = DType::f16});
}

TEST_F(ModelFolder, OldEmbeddingNameAndStoredTiedHead) {
  Filled model(small());
  save_model(folder_, model.config, model.weights);
  std::vector<io::TensorInfo> tensors;
  for (const auto& [name, values] : model.storage) {
    const bool embedding = name == "backbone.embeddings.weight";
    const std::span<const std::byte> bytes = std::as_bytes(std::span(values));
    const Shape shape = model.weights.at(name).shape;
    tensors.push_back({embedding ? "backbone.embedding.weight" : name, DType::f32, shape, bytes});
    if (embedding) tensors.push_back({"lm_head.weight", DType::f32, shape, bytes});
  }
  io::write_safetensors(folder_ / "model.safetensors", tensors);
  EXPECT_EQ(ModelDirectory::open(folder_).weights().size(), model.weights.size());
  const auto refusal = [&](const io::TensorInfo& head) {
    std::ranges::find(tensors, std::string("lm_head.weight"), &io::TensorInfo::name)[0] = head;
    io::write_safetensors(folder_ / "model.safetensors", tensors);
    return error_of([&] { ModelDirectory::open(folder_); }, ErrorKind::kShape);
  };
  const Shape shape = model.weights.at("backbone.embeddings.weight").shape;
  std::vector<float> other = model.storage.at("backbone.embeddings.weight");
  const auto bytes = std::as_bytes(std::span(other));
  EXPECT_EQ(refusal({"lm_head.weight", DType::f32, shape, bytes}), "no error");
  EXPECT_TRUE(contains(refusal({"lm_head.weight", DType::i32, shape, bytes}), "tie_embeddings"));
  EXPECT_TRUE(contains(refusal({"lm_head.weight", DType::f32, {shape[1], shape[0]}, bytes}),
                       "tie_embeddings = false"));
  other.back() += 1;
  EXPECT_TRUE(contains(refusal({"lm_head.weight", DType::f32, shape, bytes}), "lm_head.weight"));
}

TEST_F(ModelFolder, WeightsThatDoNotFit) {
  const Filled model(small());
  const auto error = [&](const ModelConfig& config, const Weights& weights) {
    return error_of([&] { check_weights(config, weights, "here"); }, ErrorKind::kShape);
  };
  Weights weights = model.weights;
  weights.erase("backbone.norm_f.weight");
  EXPECT_TRUE(contains(error(model.config, weights), "here, tensor 'backbone.norm_f.weight'"));
  weights = model.weights;
  weights["backbone.layers.2.norm.weight"] = weights.at("backbone.norm_f.weight");
  EXPECT_TRUE(contains(error(model.config, weights), "backbone.layers.2.norm.weight"));
  weights = model.weights;
  weights.at("backbone.norm_f.weight").shape = {9};
  EXPECT_TRUE(contains(error(model.config, weights), "[9]"));
  weights = model.weights;
  weights.at("backbone.norm_f.weight").dtype = DType::i32;
  EXPECT_TRUE(contains(error(model.config, weights), "i32"));
  ModelConfig untied = model.config;
  untied.tie_embeddings = false;
  EXPECT_TRUE(contains(error(untied, model.weights), "lm_head.weight"));
}

TEST_F(ModelFolder, SpecialTokensAreAlwaysWritten) {
  const Filled model(small());
  save_model(folder_, model.config, model.weights);
  for (const char* name : {"config.json", "generation_config.json"}) {
    const io::Json json = io::read_json_file(folder_ / name);
    for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
      EXPECT_TRUE(json.at(key).is_null()) << name << " " << key;
    }
  }
  EXPECT_EQ(ModelDirectory::open(folder_).special_tokens(), SpecialTokens{});
  for (const SaveLayout layout : {SaveLayout::kAdder, SaveLayout::kHf, SaveLayout::kOriginal}) {
    const SpecialTokens tokens = {.bos = 0, .pad = 1, .eos = {3, 5}};
    save_model(folder_, model.config, model.weights, {.special_tokens = tokens, .layout = layout});
    const ModelDirectory read = ModelDirectory::open(folder_);
    EXPECT_EQ(read.special_tokens(), tokens);
    EXPECT_EQ(options_of(read.config()), options_of(model.config));
  }
}

TEST_F(ModelFolder, SpecialTokensOfTheGenerationConfigComeFirst) {
  const auto read = [&](const char* generation, const char* config) {
    io::write_file_atomic(folder_ / "generation_config.json", std::string_view(generation));
    return read_special_tokens(folder_, io::parse_json(config, "config.json"), "config.json", 9)
        .eos;
  };
  using Ids = std::vector<int32_t>;
  EXPECT_EQ(read(R"({"eos_token_id": 7})", R"({"eos_token_id": 2})"), Ids{7});
  EXPECT_EQ(read(R"({"eos_token_id": [7, 8]})", "{}"), (Ids{7, 8}));
  EXPECT_EQ(read("{}", R"({"eos_token_id": 2})"), Ids{2});
  EXPECT_EQ(read(R"({"eos_token_id": null})", R"({"eos_token_id": -1})"), Ids{});
  const auto error =
      error_of([&] { read(R"({"eos_token_id": "</s>"})", "{}"); }, ErrorKind::kConfig);
  EXPECT_TRUE(contains(error, "generation_config.json: eos_token_id")) << error;
  EXPECT_EQ(read("{}", R"({"eos_token_id": 8})"), Ids{8});
  const auto outside =
      error_of([&] { read(R"({"eos_token_id": [7, 9]})", "{}"); }, ErrorKind::kConfig);
  EXPECT_TRUE(contains(outside, "generation_config.json: eos_token_id[1]")) << outside;
}

// mamba2's own default is 2.
TEST_F(ModelFolder, DefaultTokensOutsideTheVocabularyAreNone) {
  const auto eos = [&](int64_t vocab_size) {
    return read_special_tokens(folder_, {{"model_type", "mamba2"}}, "config.json", vocab_size).eos;
  };
  EXPECT_EQ(eos(3), std::vector<int32_t>{2});
  EXPECT_TRUE(eos(2).empty());
}

TEST_F(ModelFolder, PythonsInfinityIsRead) {
  const Filled model(small());
  save_model(folder_, model.config, model.weights);
  std::string text = io::read_file(folder_ / "config.json", 1 << 20);
  text.insert(text.find('{') + 1, "\"time_step_limit\": [0.0, Infinity],");
  io::write_file_atomic(folder_ / "config.json", text);
  EXPECT_EQ(options_of(read_config(folder_ / "config.json")), options_of(model.config));
}

}  // namespace
}  // namespace adder::model
