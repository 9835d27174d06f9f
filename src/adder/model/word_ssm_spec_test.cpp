#include "adder/model/word_ssm_spec.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "adder/model/test_support.h"

namespace adder::model {
namespace {

using testing::expect_error;
using testing::tensors_by_name;

const char* const kForms[] = {"A", "B", "C", "D", "E"};

WordSsmSpec of_form(const std::string& form) {
  WordSsmSpec spec;
  spec.form = form;
  return spec;
}

/// E = 6, S = 4.
std::map<std::string, TensorSpec> small_tensors(const std::string& form, int64_t d_out = 0) {
  WordSsmSpec spec = of_form(form);
  spec.d_state = 4;
  spec.d_out_option = d_out;
  return tensors_by_name(spec.tensors({.d_model = 6}));
}

std::map<std::string, Shape> shapes(const std::map<std::string, TensorSpec>& tensors) {
  std::map<std::string, Shape> shapes;
  for (const auto& [name, tensor] : tensors) shapes[name] = tensor.shape;
  return shapes;
}

/// One layer alone, as YS-71M's README has it: nothing but embedding, layer and head with bias.
ModelConfig readme_model(const std::string& form, int64_t vocab, int64_t width) {
  ModelConfig config;
  config.vocab_size = vocab;
  config.d_model = width;
  config.n_layer = 1;
  config.layers = {"word_ssm"};
  config.norm = "none";
  config.residual = false;
  config.tie_embeddings = false;
  config.head_bias = true;
  static_cast<WordSsmSpec&>(config.mixers.at("word_ssm")).form = form;
  config.check();
  return config;
}

// The totals of the README's table (ys-71m, sections 1 and 2).
TEST(WordSsmSpec, TheTotalsOfTheReadme) {
  for (const char* form : kForms) {
    EXPECT_EQ(parameter_count(readme_model(form, 13183, 368)), 59959647) << form;
    EXPECT_EQ(parameter_count(readme_model(form, 28590, 368)), 71314606) << form;
    EXPECT_EQ(parameter_count(readme_model(form, 13183, 256)), 23737727) << form;
  }
}

TEST(WordSsmSpec, TensorsByHand) {
  using Shapes = std::map<std::string, Shape>;
  EXPECT_EQ(shapes(small_tensors("A", 5)), (Shapes{{"q_proj.weight", {4, 6}},
                                                   {"q_proj.bias", {4}},
                                                   {"k_proj.weight", {4, 6}},
                                                   {"k_proj.bias", {4}},
                                                   {"v_proj.weight", {6, 6}},
                                                   {"v_proj.bias", {6}},
                                                   {"out_proj.weight", {5, 24}},
                                                   {"out_proj.bias", {5}}}));
  EXPECT_EQ(shapes(small_tensors("B", 5)), (Shapes{{"A", {6, 4, 4}},
                                                   {"B", {6, 4}},
                                                   {"C", {6, 4}},
                                                   {"D", {6}},
                                                   {"norm.weight", {6}},
                                                   {"norm.bias", {6}},
                                                   {"out_proj.weight", {5, 6}},
                                                   {"out_proj.bias", {5}}}));
  EXPECT_EQ(shapes(small_tensors("C")), (Shapes{{"A", {4, 4}},
                                                {"B_proj.weight", {4, 6}},
                                                {"B_proj.bias", {4}},
                                                {"C_proj.weight", {4, 6}},
                                                {"C_proj.bias", {4}},
                                                {"D", {6}},
                                                {"out_proj.weight", {6, 24}},
                                                {"out_proj.bias", {6}}}));
  EXPECT_EQ(shapes(small_tensors("D", 5)), (Shapes{{"A_proj.weight", {16, 6}},
                                                   {"A_proj.bias", {16}},
                                                   {"in_proj.weight", {4, 6}},
                                                   {"in_proj.bias", {4}},
                                                   {"norm.weight", {4}},
                                                   {"norm.bias", {4}},
                                                   {"out_proj.weight", {5, 4}},
                                                   {"out_proj.bias", {5}}}));
  EXPECT_EQ(shapes(small_tensors("E", 5)), (Shapes{{"v_proj.weight", {4, 6}},
                                                   {"v_proj.bias", {4}},
                                                   {"g_proj.weight", {4, 6}},
                                                   {"g_proj.bias", {4}},
                                                   {"q_proj.weight", {4, 6}},
                                                   {"q_proj.bias", {4}},
                                                   {"bilinear.weight", {5, 4, 4}},
                                                   {"bilinear.bias", {5}}}));
}

TEST(WordSsmSpec, WhatDecaysWhatIsFrozenWhatStaysWide) {
  for (const char* form : kForms) {
    for (const auto& [name, tensor] : small_tensors(form)) {
      const bool matrix = name.ends_with("weight") && name != "norm.weight";
      EXPECT_EQ(tensor.decay, matrix) << form << " " << name;
      EXPECT_EQ(tensor.keep_f32, !matrix) << form << " " << name;
      EXPECT_EQ(tensor.frozen, name == "A") << form << " " << name;
    }
  }
}

// 1/d where E = S = d: nothing norms the d^2 inputs of these (ys-71m, section 5).
TEST(WordSsmSpec, ReadOutsOfAMatrixStartSmall) {
  for (const auto& [form, name] :
       {std::pair{"A", "out_proj.weight"}, {"C", "out_proj.weight"}, {"E", "bilinear.weight"}}) {
    const auto tensors = tensors_by_name(of_form(form).tensors({.d_model = 50}));
    EXPECT_DOUBLE_EQ(tensors.at(name).init.b, 1.0 / 50) << form;
    const auto deep = tensors_by_name(of_form(form).tensors({.d_model = 50, .n_layer = 4}));
    EXPECT_DOUBLE_EQ(deep.at(name).init.b, 0.5 / 50) << form;
  }
}

TEST(WordSsmSpec, MemoriesOfFormAGoFromOneToTheLongest) {
  WordSsmSpec spec;
  spec.d_state = 5;
  spec.memory = 16;
  const auto decays = spec.decays(8);
  ASSERT_EQ(decays.size(), 5u);
  for (int n = 0; n < 5; ++n) EXPECT_NEAR(1 / (1 - decays[n]), std::pow(2, n), 1e-5) << n;
  spec.decay = "real";
  for (int n = 0; n < 5; ++n) EXPECT_FLOAT_EQ(spec.decays(8)[n], std::exp(-(n + 1) / 16.0));
  // In floats, too, the longest memory that is allowed is one.
  spec.decay = "log_uniform";
  spec.memory = 1e6;
  EXPECT_LT(spec.decays(8).back(), 1.0f);
}

TEST(WordSsmSpec, FormDStartsAsADiagonalSystem) {
  WordSsmSpec spec = of_form("D");
  spec.memory = 100;
  const auto tensors = tensors_by_name(spec.tensors({.d_model = 3}));
  std::vector<float> bias(9);
  initialise(tensors.at("A_proj.bias"), 1, bias.data());
  for (int i = 0; i < 9; ++i) {
    const double h = (i / 4 + 1) / 200.0;  // of -(n+1) and dt 1/100
    EXPECT_FLOAT_EQ(bias[i], i % 4 == 0 ? (1 - h) / (1 + h) : 0.0) << i;
  }
}

// log(m - 1) with m in [2, memory]: a gate s(bias) = 1 - 1/m.
TEST(WordSsmSpec, GatesOfFormEStartWithMemoriesUpToTheLongest) {
  WordSsmSpec spec = of_form("E");
  spec.memory = 100;
  spec.d_state = 4000;
  auto tensor = tensors_by_name(spec.tensors({.d_model = 2})).at("g_proj.bias");
  std::vector<float> bias(4000);
  initialise(tensor, 1, bias.data());
  const auto memory = [](float b) { return 1 + std::exp(b); };
  const auto [least, most] = std::minmax_element(bias.begin(), bias.end());
  EXPECT_NEAR(memory(*least), 2, 0.2);
  EXPECT_NEAR(memory(*most), 100, 0.2);
}

TEST(WordSsmSpec, StatesByHand) {
  const auto shape = [](const char* form) {
    WordSsmSpec spec = of_form(form);
    spec.d_state = 4;
    const auto states = spec.states({.d_model = 6});
    EXPECT_EQ(states.size(), 1u);
    EXPECT_EQ(states[0].name, "ssm");
    return states[0].shape;
  };
  EXPECT_EQ(shape("A"), (Shape{4, 6}));
  EXPECT_EQ(shape("B"), (Shape{6, 4}));
  EXPECT_EQ(shape("C"), (Shape{4, 6}));
  EXPECT_EQ(shape("D"), (Shape{4}));
  EXPECT_EQ(shape("E"), (Shape{4}));
}

// E = 6, S = 4, O = 5 (6 of C); a multiplication and an addition each count one.
TEST(WordSsmSpec, FlopsByHand) {
  const auto flops = [](const char* form, int64_t d_out) {
    WordSsmSpec spec = of_form(form);
    spec.d_state = 4;
    spec.d_out_option = d_out;
    return spec.forward_flops({.d_model = 6}, 100);
  };
  // Projections; decay, outer product and its addition, query; read-out.
  EXPECT_EQ(flops("A", 5), 2 * 6 * (4 + 4 + 6) + 4 * 24 + 2 * 5 * 24);
  // A h, B x, C h and D x of each channel.
  EXPECT_EQ(flops("B", 5), 6 * (2 * 16 + 2 * 4 + 2 * 4 + 2) + 2 * 5 * 6);
  // A H, b x^T and its addition, c; D x and its addition.
  EXPECT_EQ(flops("C", 0), 2 * 6 * 8 + 2 * 4 * 4 * 6 + 3 * 24 + 2 * 6 * 24 + 2 * 6);
  // Absolute values and their sum, division, A h with its addition.
  EXPECT_EQ(flops("D", 5), 2 * 6 * (16 + 4) + 5 * 16 + 2 * 5 * 4);
  // Of a state 1 - g, two products, their sum; h q^T.
  EXPECT_EQ(flops("E", 5), 3 * 2 * 6 * 4 + 4 * 4 + 16 + 2 * 5 * 16);
}

TEST(WordSsmSpec, RefusesWhatDoesNotFit) {
  const auto refused = [](auto&& change, const std::string& part) {
    WordSsmSpec spec;
    change(spec);
    expect_error([&] { spec.check({.d_model = 6}); }, ErrorKind::kConfig, part);
  };
  refused([](WordSsmSpec& s) { s.form = "F"; }, "word_ssm.form");
  refused([](WordSsmSpec& s) { s.decay = "x"; }, "word_ssm.decay");
  refused([](WordSsmSpec& s) { s.hippo = "x"; }, "word_ssm.hippo");
  refused([](WordSsmSpec& s) { s.memory = 1; }, "word_ssm.memory");
  refused([](WordSsmSpec& s) { s.dt_min = 0; }, "word_ssm.dt_min");
  refused([](WordSsmSpec& s) { s.dt_max = 1e-4; }, "word_ssm.dt_max");
  refused([](WordSsmSpec& s) { s.norm_eps = -1; }, "word_ssm.norm_eps");
  refused([](WordSsmSpec& s) { s.d_state = -1; }, "word_ssm.d_state");
  refused([](WordSsmSpec& s) { s.d_out_option = -1; }, "word_ssm.d_out");
  refused(
      [](WordSsmSpec& s) {
        s.form = "C";
        s.d_out_option = 7;
      },
      "word_ssm.d_out");
  refused(
      [](WordSsmSpec& s) {
        s.form = "B";
        s.hippo = "lin";
        s.d_state = 3;
      },
      "word_ssm.d_state");
}

}  // namespace
}  // namespace adder::model
