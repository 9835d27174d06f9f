#include "adder/model/config.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "adder/base/error.h"
#include "adder/model/mamba2_spec.h"

namespace adder::model {
namespace {

Mamba2Spec& mamba2(ModelConfig& config) {
  return static_cast<Mamba2Spec&>(config.mixers.at("mamba2"));
}

std::string error_of(const ModelConfig& config) {
  try {
    config.check();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kConfig);
    return error.what();
  }
  return "no error";
}

bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

ModelConfig small() {
  ModelConfig config;
  config.vocab_size = 64;
  config.d_model = 32;
  config.n_layer = 2;
  mamba2(config).head_dim = 16;
  return config;
}

struct Published {
  int64_t n_layer, d_model, vocab, groups;
  bool tied;
  int64_t parameters;
};

// mamba-core 3.1.
TEST(ParameterCount, OfPublishedModels) {
  const Published models[] = {
      {24, 768, 50288, 1, true, 128'989'632},    {48, 1024, 50288, 1, true, 368'346'624},
      {48, 1536, 50288, 1, true, 780'161'280},   {48, 2048, 50288, 1, true, 1'343'757'312},
      {64, 2560, 50288, 1, true, 2'702'599'680}, {64, 4096, 32768, 8, false, 7'285'403'648}};
  for (const Published& model : models) {
    ModelConfig config;
    config.vocab_size = model.vocab;
    config.d_model = model.d_model;
    config.n_layer = model.n_layer;
    config.tie_embeddings = model.tied;
    mamba2(config).n_groups = model.groups;
    config.check();
    EXPECT_EQ(parameter_count(config), model.parameters);
  }
}

// ys-71m 6.2: 921,349 parameters a layer at d_model 368, 993,956 at 384, norm of the block
// included.
TEST(ParameterCount, OfOneLayer) {
  for (const auto& [d_model, head_dim, per_layer] :
       {std::tuple{368, 32, 921'349}, std::tuple{384, 64, 993'956}}) {
    ModelConfig config = small();
    config.d_model = d_model;
    mamba2(config).head_dim = head_dim;
    const int64_t two = parameter_count(config);
    config.n_layer = 3;
    EXPECT_EQ(parameter_count(config) - two, per_layer);
  }
}

TEST(TensorSpecs, OfMamba2WithEveryOption) {
  ModelConfig config = small();
  config.tie_embeddings = false;
  Mamba2Spec& spec = mamba2(config);
  spec.bias = spec.D_has_head_dim = spec.learnable_init_states = true;
  spec.d_ssm = 48;
  spec.d_state = 8;
  spec.conv_init = 0.01;
  const auto specs = tensor_specs(config);
  std::map<std::string, TensorSpec> by_name;
  for (const TensorSpec& tensor : specs) by_name[tensor.name] = tensor;
  EXPECT_EQ(by_name.size(), specs.size());
  const auto mixer = [&](const std::string& name) {
    return by_name.at("backbone.layers.1.mixer." + name);
  };
  // z_mlp 16, x_mlp 16, z 48, x 48, B 8, C 8, dt 3
  EXPECT_EQ(mixer("in_proj.weight").shape, (Shape{147, 32}));
  EXPECT_EQ(mixer("in_proj.bias").shape, (Shape{147}));
  EXPECT_EQ(mixer("conv1d.weight").shape, (Shape{64, 1, 4}));
  EXPECT_EQ(mixer("conv1d.weight").init.b, 0.01);
  EXPECT_EQ(mixer("conv1d.bias").init.b, 0.5);  // 1/sqrt(4)
  EXPECT_EQ(mixer("D").shape, (Shape{48}));
  EXPECT_EQ(mixer("norm.weight").shape, (Shape{48}));
  EXPECT_EQ(mixer("init_states").shape, (Shape{3, 16, 8}));
  EXPECT_EQ(mixer("out_proj.weight").shape, (Shape{32, 64}));
  EXPECT_EQ(mixer("A_log").shape, (Shape{3}));
  EXPECT_EQ(by_name.at("lm_head.weight").shape, (Shape{64, 32}));
  // out_proj: uniform in +-1/sqrt(fan_in), divided by the root of the depth.
  EXPECT_DOUBLE_EQ(mixer("out_proj.weight").init.b, 1 / std::sqrt(64.0 * 2));
  EXPECT_DOUBLE_EQ(mixer("in_proj.weight").init.b, 1 / std::sqrt(32.0));

  std::set<std::string> decayed;
  for (const TensorSpec& tensor : specs) {
    if (tensor.decay)
      decayed.insert(tensor.name.substr(tensor.name.find_last_of('.', tensor.name.size() - 8) + 1));
  }
  EXPECT_EQ(decayed, (std::set<std::string>{"embeddings.weight", "in_proj.weight", "conv1d.weight",
                                            "out_proj.weight", "lm_head.weight"}));
  for (const char* name : {"A_log", "D", "dt_bias", "norm.weight", "conv1d.bias"}) {
    EXPECT_TRUE(mixer(name).keep_f32) << name;
  }
  EXPECT_FALSE(mixer("in_proj.weight").keep_f32);

  const auto states = config.mixer(0).states(config.place(0));
  ASSERT_EQ(states.size(), 2u);
  EXPECT_EQ(states[0].shape, (Shape{3, 64}));
  EXPECT_EQ(states[1].shape, (Shape{3, 16, 8}));
}

TEST(ConfigCheck, SaysWhatDoesNotFit) {
  EXPECT_EQ(error_of(small()), "no error");
  ModelConfig config = small();
  config.d_model = 128;
  mamba2(config).head_dim = 48;
  EXPECT_TRUE(contains(error_of(config),
                       "d_inner = expand*d_model = 256 is not a multiple of head_dim 48"));
  config = small();
  mamba2(config).n_groups = 3;
  EXPECT_TRUE(contains(error_of(config), "mamba2.n_groups")) << error_of(config);
  config = small();
  mamba2(config).gated_norm = "befor";
  EXPECT_TRUE(contains(error_of(config), "after, before, none"));
  config = small();
  mamba2(config).dt_max = std::nan("");
  EXPECT_TRUE(contains(error_of(config), "mamba2.dt_max"));
  config = small();
  config.norm_eps = -1;
  EXPECT_TRUE(contains(error_of(config), "norm_eps"));
  config = small();
  config.n_layer = int64_t{1} << 40;
  EXPECT_TRUE(contains(error_of(config), "n_layer"));
  config = small();
  config.vocab_size = 0;
  EXPECT_TRUE(contains(error_of(config), "vocab_size"));
  config = small();
  mamba2(config).expand = int64_t{1} << 62;
  EXPECT_TRUE(contains(error_of(config), "mamba2.expand"));
  config = small();
  config.layers = {"mamba2", "mamba22"};
  EXPECT_TRUE(contains(error_of(config), "did you mean 'mamba2'?"));
  config.layers = {};
  EXPECT_TRUE(contains(error_of(config), "layers"));
}

TEST(Options, HaveDottedKeysAndCopiesAreDeep) {
  ModelConfig config = small();
  ModelConfig copy = config;
  const auto entries = flatten(copy);
  set_from_text(find_option(entries, "mamba2.d_state"), "7");
  EXPECT_EQ(mamba2(copy).d_state, 7);
  EXPECT_EQ(mamba2(config).d_state, 128);
  config = copy;
  EXPECT_EQ(mamba2(config).d_state, 7);
}

// One layer by hand: d 32, heads 4, P 16, N 8, W 4; a chunk of 64 tokens meets 32.5 others on
// average.
TEST(ForwardFlops, OfOneLayerByHand) {
  ModelConfig config = small();
  config.n_layer = 1;
  mamba2(config).d_state = 8;
  const double in_proj = 2 * 32 * (64 + 80 + 4), out_proj = 2 * 64 * 32, head = 2 * 32 * 64;
  const double conv = 2 * 4 * 80;
  const double scan = 4 * (2 * 32.5 * 16 + 4 * 16 * 8) + 2 * 32.5 * 8;
  EXPECT_DOUBLE_EQ(forward_flops(config, 1000), in_proj + out_proj + head + conv + scan);
  EXPECT_LT(forward_flops(config, 1), forward_flops(config, 1000));
}

}  // namespace
}  // namespace adder::model
