// What must hold of the softmax mixer beside what holds of every model (language_model_test.cpp).
#include "adder/nn/softmax.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <map>

namespace adder::nn {
namespace {

/// A mixer of random weights in double, 3 heads of 4 channels.
struct SoftmaxUnderTest {
  explicit SoftmaxUnderTest(const std::function<void(model::SoftmaxSpec&)>& change = {}) {
    config.vocab_size = 5;
    config.d_model = 12;
    config.n_layer = 1;
    config.layers = {"softmax"};
    auto& spec = static_cast<model::SoftmaxSpec&>(config.mixers.at("softmax"));
    spec.head_dim = 4;
    spec.qkv_bias = spec.out_bias = true;
    if (change) change(spec);
    parameters.emplace(model::tensor_specs(config), 3);
    const auto generator = at::detail::createCPUGenerator(7);
    for (const Tensor& parameter : parameters->tensors()) {
      parameter.set_data(at::randn(parameter.sizes(), generator, at::kDouble).mul(0.6));
    }
    mixer = make_mixer(config, 0, *parameters);
    x = at::randn({2, 24, 12}, generator, at::kDouble);
  }
  Tensor forward(const Tensor& in, const Tensor& seq_idx = {}, State* carried = nullptr) const {
    Context context;
    context.compute = at::kDouble;
    context.seq_idx = seq_idx;
    return mixer->forward(in, context, carried);
  }

  model::ModelConfig config;
  std::optional<Parameters> parameters;
  std::unique_ptr<Mixer> mixer;
  Tensor x;
};

void expect_close(const Tensor& got, const Tensor& want, double tolerance = 1e-10) {
  EXPECT_LT((got - want).abs().max().item<double>(), tolerance * want.abs().max().item<double>());
}

Tensor row_of(std::initializer_list<int> numbers) {
  return at::tensor(std::vector<int>(numbers), at::kInt).unsqueeze(0);
}

void narrow_window(model::SoftmaxSpec& spec) {
  spec.window = 3;
  spec.d_conv = 3;
  spec.d_mlp = 5;
}

// y = sum of weights * v, written out for one head without rotation.
TEST(SoftmaxMixer, IsTheFormula) {
  const SoftmaxUnderTest t([](model::SoftmaxSpec& spec) {
    spec.n_heads = 1;
    spec.rotary_dim = 0;
    spec.window = 2;
  });
  const auto parameter = [&](const char* name) {
    return t.parameters->at(std::string("backbone.layers.0.mixer.") + name);
  };
  const Tensor x = t.x[0].narrow(0, 0, 2);
  const auto parts =
      (x.matmul(parameter("in_proj.weight").t()) + parameter("in_proj.bias")).split(4, -1);
  const Tensor scores = parts[0].matmul(parts[1].t()) / 2;
  const Tensor weights = scores.masked_fill(at::ones({2, 2}, at::kBool).triu(1), -INFINITY);
  const Tensor y = weights.softmax(-1).matmul(parts[2]).matmul(parameter("out_proj.weight").t()) +
                   parameter("out_proj.bias");
  expect_close(t.forward(x.unsqueeze(0))[0], y);
}

/// Probes of one forward.
std::map<std::string, Tensor> probed(const SoftmaxUnderTest& t, const Tensor& x,
                                     const Tensor& seq_idx = {}) {
  std::map<std::string, Tensor> seen;
  Context context;
  context.compute = at::kDouble;
  context.seq_idx = seq_idx;
  context.on_probe = [&](int64_t, std::string_view name, const Tensor& value) {
    seen[std::string(name)] = value;
  };
  t.mixer->forward(x, context, nullptr);
  return seen;
}

// A row is cut into blocks of queries; the formula has one mask of length x length. The lengths
// leave a last block of one token, of all, and of fewer than the window's tail.
TEST(SoftmaxMixer, AWindowIsTheFullMask) {
  const auto generator = at::detail::createCPUGenerator(11);
  for (const auto& [window, length] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 64}, {1, 130}, {3, 65}, {7, 192}, {64, 128}, {65, 100}, {90, 271}, {520, 1050}}) {
    const SoftmaxUnderTest t([w = window](model::SoftmaxSpec& spec) {
      spec.window = w;
      spec.n_kv_heads = 1;
    });
    const Tensor x =
        at::randn({1, length, 12}, generator, at::kDouble).mul_(0.5).requires_grad_(true);
    const auto seen = probed(t, x);
    const Tensor band = at::ones({length, length}, at::kBool).tril().triu(1 - window).logical_not();
    const Tensor q = seen.at("q").transpose(1, 2), k = seen.at("k").transpose(1, 2);
    const Tensor scores = q.matmul(k.transpose(2, 3)) / 2;  // sqrt(head_dim)
    const Tensor want = scores.masked_fill(band, -INFINITY)
                            .softmax(-1)
                            .matmul(seen.at("v").transpose(1, 2))
                            .transpose(1, 2);
    SCOPED_TRACE(testing::Message() << "window " << window << " length " << length);
    expect_close(seen.at("y"), want);
    const Tensor direction = at::randn(want.sizes(), generator, at::kDouble);
    const auto slope = [&](const Tensor& y) {
      return torch::autograd::grad({(y * direction).sum()}, {x}, {}, /*retain_graph=*/true)[0];
    };
    expect_close(slope(seen.at("y")), slope(want));
  }
}

TEST(SoftmaxMixer, PaddingIsNotAttended) {
  const SoftmaxUnderTest t(narrow_window);
  const Tensor seq_idx = row_of({-1, -1, -1, -1, -1, 0, 0, 0, 0, -1, -1, -1});
  const Tensor y = probed(t, t.x.narrow(0, 0, 1).narrow(1, 0, 12), seq_idx).at("y");
  EXPECT_EQ(y.narrow(1, 0, 5).abs().max().item<double>(), 0);
  EXPECT_EQ(y.narrow(1, 9, 3).abs().max().item<double>(), 0);
  EXPECT_GT(y.narrow(1, 5, 4).abs().min().item<double>(), 0);
}

TEST(SoftmaxMixer, PaddingIsSeenByNobodyAndGetsNoGradient) {
  for (const bool narrow : {false, true}) {
    const SoftmaxUnderTest t(narrow ? narrow_window : std::function<void(model::SoftmaxSpec&)>());
    const Tensor seq_idx = row_of({-1, -1, 0, 0, 0, 0, 0, 1, 1, 1, -1, 2, 2, -1});
    const Tensor x = t.x.narrow(0, 0, 1).narrow(1, 0, 14).clone().requires_grad_(true);
    const Tensor padding = seq_idx.lt(0);
    // As the stack takes it (LanguageModel.PaddingAddsNothing).
    const Tensor y = t.forward(x, seq_idx).masked_fill(padding.unsqueeze(-1), 0);
    for (const auto& [begin, length] : {std::pair(2, 5), {7, 3}, {11, 2}}) {
      expect_close(y.narrow(1, begin, length), t.forward(x.narrow(1, begin, length)));
    }
    const Tensor gradient = torch::autograd::grad({y.square().sum()}, {x})[0];
    EXPECT_EQ(gradient.index({padding}).abs().max().item<double>(), 0);
    EXPECT_GT(gradient.index({padding.logical_not()}).abs().min().item<double>(), 0);
  }
}

// Rows of unlike documents and padding, cut in pieces in the middle of documents: each document
// must come out as alone. The second row is all padding in the second piece.
TEST(SoftmaxMixer, PackedRowsGoOnWhereTheyWereCut) {
  for (const bool narrow : {false, true}) {
    const SoftmaxUnderTest t(narrow ? narrow_window : std::function<void(model::SoftmaxSpec&)>());
    const Tensor seq_idx = at::cat(
        {row_of({0, 0, 0, 1, 1, 1, 1, /**/ 1, 1, 1, 1, /**/ 1, 2, 2, 2, 2, /**/ 2, 2, 2}),
         row_of({0, 0, 0, 0, 0, -1, -1, /**/ -1, -1, -1, -1, /**/ 0, 0, 0, -1, -1, /**/ 0, 0, 0})});
    // The first token of a piece goes on with what is carried: after padding too, which then was
    // not there.
    const auto alone = [&](int64_t row, std::vector<int64_t> at) {
      return std::pair(at, t.forward(t.x[row].index_select(0, at::tensor(at)).unsqueeze(0))[0]);
    };
    State carried;
    std::vector<Tensor> pieces;
    int64_t begin = 0;
    for (const int64_t length : {7, 4, 5, 3}) {
      pieces.push_back(
          t.forward(t.x.narrow(1, begin, length), seq_idx.narrow(1, begin, length), &carried));
      begin += length;
    }
    const Tensor y = at::cat(pieces, 1);
    for (const auto& [row, at] : {std::pair<int64_t, std::vector<int64_t>>(0, {0, 1, 2}),
                                  {0, {3, 4, 5, 6, 7, 8, 9, 10, 11}},
                                  {0, {12, 13, 14, 15, 16, 17, 18}},
                                  {1, {0, 1, 2, 3, 4, 11, 12, 13, 16, 17, 18}}}) {
      expect_close(y[row].index_select(0, at::tensor(at)), alone(row, at).second);
    }
    if (narrow) EXPECT_LE(carried.front().size(1), 2);  // no more than the window needs
  }
}

TEST(SoftmaxMixer, GradientsFlowThroughTheCarriedState) {
  for (const bool narrow : {false, true}) {
    const SoftmaxUnderTest t(narrow ? narrow_window : std::function<void(model::SoftmaxSpec&)>());
    const Tensor x = t.x.clone().requires_grad_(true);
    const Tensor expected = torch::autograd::grad({t.forward(x).square().sum()}, {x})[0];
    State carried;
    Tensor loss = at::zeros({}, at::kDouble);
    int64_t begin = 0;
    for (const int64_t length : {1, 9, 1, 13}) {
      loss = loss + t.forward(x.narrow(1, begin, length), {}, &carried).square().sum();
      begin += length;
    }
    expect_close(torch::autograd::grad({loss}, {x})[0], expected);
  }
}

// Only distances count, so far into a text as at its beginning the same tokens give the same. The
// window keeps the carried key from all but the first token.
TEST(SoftmaxMixer, APositionFarIntoTheTextIsAsExact) {
  const SoftmaxUnderTest t([](model::SoftmaxSpec& spec) { spec.window = 2; });
  std::vector<Tensor> results;
  for (const int64_t position : {int64_t{10}, int64_t{10000000}}) {
    State carried = {at::zeros({1, 1, 12}, at::kFloat), at::zeros({1, 1, 12}, at::kFloat),
                     at::full({1, 1}, position, at::kLong)};
    const SoftmaxUnderTest f = [] {
      SoftmaxUnderTest u([](model::SoftmaxSpec& spec) { spec.window = 2; });
      for (const Tensor& p : u.parameters->tensors()) p.set_data(p.data().to(at::kFloat));
      u.mixer = make_mixer(u.config, 0, *u.parameters);
      return u;
    }();
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      State state = carried;
      results.push_back(f.forward(t.x.narrow(0, 0, 1).to(type), {}, &state).narrow(1, 1, 23));
    }
  }
  expect_close(results[2], results[0], 1e-5);
  expect_close(results[3], results[1], 0.05);  // bf16 activations; fp32 angles would be off by 1
}

TEST(SoftmaxMixer, ProbesSeeQueriesKeysAndValues) {
  const SoftmaxUnderTest t([](model::SoftmaxSpec& spec) { spec.n_kv_heads = 1; });
  std::map<std::string, std::vector<int64_t>> seen;
  Context context;
  context.compute = at::kDouble;
  context.on_probe = [&](int64_t, std::string_view name, const Tensor& value) {
    seen[std::string(name)] = value.sizes().vec();
  };
  t.mixer->forward(t.x, context, nullptr);
  EXPECT_EQ(
      seen,
      (std::map<std::string, std::vector<int64_t>>{
          {"q", {2, 24, 3, 4}}, {"k", {2, 24, 1, 4}}, {"v", {2, 24, 1, 4}}, {"y", {2, 24, 3, 4}}}));
}

}  // namespace
}  // namespace adder::nn
