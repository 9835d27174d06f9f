#include "adder/model/softmax_spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "adder/model/test_support.h"

namespace adder::model {
namespace {

using testing::expect_error;
using testing::tensors_by_name;

const LayerPlace kPlace = {.d_model = 32, .layer = 0, .n_layer = 3, .branches = 2};

SoftmaxSpec small() {
  SoftmaxSpec spec;
  spec.head_dim = 8;
  return spec;
}

/// Two query heads share each key head: q 32, k 16, v 16; an MLP of 10 beside.
SoftmaxSpec shared() {
  SoftmaxSpec spec = small();
  spec.n_kv_heads = 2;
  spec.d_mlp = 10;
  spec.d_conv = 3;
  return spec;
}

// mamba-core 2.5, "MHA".
TEST(SoftmaxSpec, TensorsByHand) {
  SoftmaxSpec spec = shared();
  spec.qkv_bias = spec.out_bias = true;
  spec.window = 7;
  const auto tensors = tensors_by_name(spec.tensors(kPlace));
  EXPECT_EQ(tensors.size(), 6u);
  EXPECT_EQ(tensors.at("in_proj.weight").shape, (Shape{84, 32}));
  EXPECT_EQ(tensors.at("in_proj.bias").shape, (Shape{84}));
  EXPECT_EQ(tensors.at("conv1d.weight").shape, (Shape{64, 1, 3}));
  EXPECT_EQ(tensors.at("conv1d.bias").shape, (Shape{64}));
  EXPECT_EQ(tensors.at("out_proj.weight").shape, (Shape{32, 42}));
  EXPECT_EQ(tensors.at("out_proj.bias").shape, (Shape{32}));
  EXPECT_DOUBLE_EQ(tensors.at("in_proj.weight").init.b, 1 / std::sqrt(32.0));
  EXPECT_DOUBLE_EQ(tensors.at("out_proj.weight").init.b, 1 / std::sqrt(42.0 * 3 * 2));
  EXPECT_DOUBLE_EQ(tensors.at("conv1d.bias").init.b, 1 / std::sqrt(3.0));
  for (const auto& [name, tensor] : tensors) {
    EXPECT_EQ(tensor.decay, name.ends_with("weight")) << name;
    EXPECT_EQ(tensor.keep_f32, name.find("proj.weight") == std::string::npos) << name;
  }
  EXPECT_EQ(small().tensors(kPlace).size(), 2u);

  const auto states = spec.states(kPlace);
  ASSERT_EQ(states.size(), 3u);
  EXPECT_EQ(states[0].shape, (Shape{7, 16}));
  EXPECT_TRUE(states[0].grows && states[1].grows);
  EXPECT_EQ(states[2].shape, (Shape{2, 64}));
}

TEST(SoftmaxSpec, SizesThatFollow) {
  SoftmaxSpec spec = small();
  EXPECT_EQ(spec.sizes(32).heads, 4);
  EXPECT_EQ(spec.sizes(32).kv_heads, 4);
  EXPECT_EQ(spec.sizes(32).rotary_dim, 8);
  EXPECT_DOUBLE_EQ(spec.sizes(32).scale, 1 / std::sqrt(8.0));
  spec.n_heads = 3;  // as wide as one likes then
  spec.rotary_dim = 0;
  spec.scale = 0.5;
  EXPECT_EQ(spec.sizes(32).q, 24);
  EXPECT_EQ(spec.sizes(32).rotary_dim, 0);
  EXPECT_EQ(spec.sizes(32).scale, 0.5);
  spec.check(kPlace);
}

TEST(SoftmaxSpec, SaysWhatDoesNotFit) {
  const auto refused = [](const std::string& part, auto&& change) {
    SoftmaxSpec spec = small();
    change(spec);
    expect_error([&] { spec.check(kPlace); }, ErrorKind::kConfig, part);
  };
  refused("d_model = 32 is not a multiple", [](SoftmaxSpec& s) { s.head_dim = 12; });
  refused("4 query heads cannot share them evenly", [](SoftmaxSpec& s) { s.n_kv_heads = 3; });
  refused("4 query heads cannot share them evenly", [](SoftmaxSpec& s) { s.n_kv_heads = 8; });
  refused("dimensions rotate in pairs", [](SoftmaxSpec& s) { s.rotary_dim = 5; });
  refused("dimensions rotate in pairs", [](SoftmaxSpec& s) { s.head_dim = s.n_heads = 5; });
  refused("softmax.rotary_dim", [](SoftmaxSpec& s) { s.rotary_dim = 10; });
  refused("softmax.rotary_base", [](SoftmaxSpec& s) { s.rotary_base = 0; });
  refused("softmax.window", [](SoftmaxSpec& s) { s.window = -1; });
  refused("softmax.scale", [](SoftmaxSpec& s) { s.scale = std::nan(""); });
  refused("softmax.head_dim", [](SoftmaxSpec& s) { s.head_dim = 0; });
  refused("softmax.d_mlp", [](SoftmaxSpec& s) { s.d_mlp = -1; });
}

// in_proj 32 x 84, three taps over 64 channels, out_proj 42 x 32; each of the 32 channels of q
// meets a key and a value of every token that is seen.
TEST(SoftmaxSpec, ForwardFlopsByHand) {
  SoftmaxSpec spec = shared();
  const double fixed = 2 * 32 * 84 + 2 * 3 * 64 + 2 * 42 * 32;
  for (const auto& [window, length] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 1}, {0, 100}, {1, 100}, {8, 10}, {10, 10}, {11, 10}, {64, 1000}}) {
    spec.window = window;
    double seen = 0;
    for (int64_t t = 1; t <= length; ++t) {
      seen += static_cast<double>(window == 0 ? t : std::min(t, window));
    }
    const double attention = (2 + 2) * 32 * seen / static_cast<double>(length);
    EXPECT_DOUBLE_EQ(spec.forward_flops(kPlace, length), fixed + attention)
        << "window " << window << " length " << length;
  }
}

}  // namespace
}  // namespace adder::model
