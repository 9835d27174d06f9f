#include "adder/model/mamba1_spec.h"

#include <gtest/gtest.h>

#include <cmath>

#include "adder/model/test_support.h"

namespace adder::model {
namespace {

using testing::expect_error;
using testing::tensors_by_name;

const LayerPlace kPlace = {.d_model = 32, .layer = 1, .n_layer = 3};

// mamba-core 2.1: inner width 64, dt rank 32 / 16 = 2, x_proj makes dt 2, B 8, C 8.
TEST(Mamba1Spec, TensorsByHand) {
  Mamba1Spec spec;
  spec.d_state = 8;
  spec.bias = true;
  auto tensors = tensors_by_name(spec.tensors(kPlace));
  EXPECT_EQ(tensors.size(), 11u);
  EXPECT_EQ(tensors.at("in_proj.weight").shape, (Shape{128, 32}));
  EXPECT_EQ(tensors.at("in_proj.bias").shape, (Shape{128}));
  EXPECT_EQ(tensors.at("conv1d.weight").shape, (Shape{64, 1, 4}));
  EXPECT_EQ(tensors.at("conv1d.bias").shape, (Shape{64}));
  EXPECT_EQ(tensors.at("x_proj.weight").shape, (Shape{18, 64}));
  EXPECT_EQ(tensors.at("dt_proj.weight").shape, (Shape{64, 2}));
  EXPECT_EQ(tensors.at("dt_proj.bias").shape, (Shape{64}));
  EXPECT_EQ(tensors.at("A_log").shape, (Shape{64, 8}));
  EXPECT_EQ(tensors.at("D").shape, (Shape{64}));
  EXPECT_EQ(tensors.at("out_proj.weight").shape, (Shape{32, 64}));
  EXPECT_EQ(tensors.at("out_proj.bias").shape, (Shape{32}));
  for (const auto& [name, tensor] : tensors) {
    const bool matrix = tensor.shape.size() == 2 && name != "A_log";
    EXPECT_EQ(tensor.decay, matrix || name == "conv1d.weight") << name;
    EXPECT_EQ(tensor.keep_f32, !matrix) << name;
  }
  spec.bias = spec.conv_bias = false;
  EXPECT_EQ(tensors_by_name(spec.tensors(kPlace)).size(), 8u);

  const auto states = spec.states(kPlace);
  ASSERT_EQ(states.size(), 2u);
  EXPECT_EQ(states[0].shape, (Shape{3, 64}));
  EXPECT_EQ(states[1].shape, (Shape{64, 8}));
}

TEST(Mamba1Spec, TheRankIsRoundedUp) {
  const Mamba1Spec spec;
  EXPECT_EQ(spec.sizes(33).dt_rank, 3);
  EXPECT_EQ(spec.sizes(1).dt_rank, 1);
}

// mamba-core 2.1: dt_proj uniform in +-dt_scale/sqrt(dt_rank), or all of them at its upper end;
// softplus(dt_proj.bias) within [dt_min, dt_max] and at least the floor; A_log = log(1..N).
TEST(Mamba1Spec, Starts) {
  Mamba1Spec spec;
  spec.d_state = 5;
  spec.dt_rank = 9;
  spec.dt_scale = 2;
  spec.dt_min = 0.01, spec.dt_max = 0.2, spec.dt_init_floor = 0.05;
  const auto values = [&spec](const char* name) {
    const TensorSpec tensor = tensors_by_name(spec.tensors(kPlace)).at(name);
    std::vector<float> out(static_cast<size_t>(element_count(tensor.shape)));
    initialise(tensor, 1, out.data());
    return out;
  };
  float most = 0;
  for (const float w : values("dt_proj.weight")) most = std::max(most, std::abs(w));
  EXPECT_LE(most, 2.0 / 3);
  EXPECT_GT(most, 0.65);
  spec.dt_init = "constant";
  for (const float w : values("dt_proj.weight")) EXPECT_FLOAT_EQ(w, 2.0F / 3);
  bool at_floor = false;
  for (const float b : values("dt_proj.bias")) {
    const double dt = std::log1p(std::exp(double{b}));
    EXPECT_GE(dt, 0.05 * (1 - 1e-5));
    EXPECT_LE(dt, 0.2 * (1 + 1e-5));
    at_floor |= std::abs(dt - 0.05) < 1e-6;
  }
  EXPECT_TRUE(at_floor);
  const auto A_log = values("A_log");
  for (size_t i = 0; i < A_log.size(); ++i) {
    EXPECT_FLOAT_EQ(A_log[i], std::log(static_cast<float>(i % 5 + 1)));
  }
  for (const float d : values("D")) EXPECT_EQ(d, 1);
}

// 1 / sqrt(depth), and with an MLP there are twice as many branches (mamba-core 2.5).
TEST(Mamba1Spec, WhatAddsToTheResidualStartsSmaller) {
  const Mamba1Spec spec;
  LayerPlace place = kPlace;
  const auto bound = [&] {
    return tensors_by_name(spec.tensors(place)).at("out_proj.weight").init.b;
  };
  EXPECT_DOUBLE_EQ(bound(), 1 / std::sqrt(64.0 * 3));
  place.branches = 2;
  EXPECT_DOUBLE_EQ(bound(), 1 / std::sqrt(64.0 * 6));
}

TEST(Mamba1Spec, SaysWhatDoesNotFit) {
  const auto refused = [](const std::string& key, auto&& change) {
    Mamba1Spec spec;
    change(spec);
    expect_error([&] { spec.check(kPlace); }, ErrorKind::kConfig, "mamba1." + key);
  };
  refused("d_state", [](Mamba1Spec& s) { s.d_state = 0; });
  refused("d_conv", [](Mamba1Spec& s) { s.d_conv = 9; });
  refused("expand", [](Mamba1Spec& s) { s.expand = int64_t{1} << 62; });
  refused("dt_rank", [](Mamba1Spec& s) { s.dt_rank = -1; });
  refused("dt_init", [](Mamba1Spec& s) { s.dt_init = "constnat"; });
  refused("dt_scale", [](Mamba1Spec& s) { s.dt_scale = std::nan(""); });
  refused("dt_min", [](Mamba1Spec& s) { s.dt_min = 0; });
  refused("dt_max", [](Mamba1Spec& s) { s.dt_max = 1e-4; });
  refused("norm_BCdt_eps", [](Mamba1Spec& s) { s.norm_BCdt_eps = -1; });
}

TEST(Mamba1Spec, ForwardFlopsByHand) {
  Mamba1Spec spec;
  spec.d_state = 8;
  const double in_proj = 2 * 32 * 128, out_proj = 2 * 64 * 32, conv = 2 * 4 * 64;
  const double x_proj = 2 * 64 * 18, dt_proj = 2 * 2 * 64, scan = 9 * 64 * 8;
  const double all = in_proj + conv + x_proj + dt_proj + scan + out_proj;
  EXPECT_DOUBLE_EQ(spec.forward_flops(kPlace, 1), all);
  EXPECT_DOUBLE_EQ(spec.forward_flops(kPlace, 1000), all);
}

}  // namespace
}  // namespace adder::model
