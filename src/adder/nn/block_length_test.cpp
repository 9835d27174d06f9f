// The block length of the SSD (`chunk_size`, the "attention block size" of YS-71M) changes rounding
// alone: it need be no power of two and divide nothing.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "adder/model/mamba2_spec.h"
#include "adder/nn/language_model.h"

namespace adder::nn {
namespace {

constexpr int64_t kLength = 117;  // no multiple of any block below but 1

struct Result {
  at::Tensor hidden, gradient;  // of the embedding
};

/// A packed row of three documents through two layers.
Result run(int64_t chunk_size) {
  model::ModelConfig config;
  config.vocab_size = 40;
  config.d_model = 32;
  config.n_layer = 2;
  auto& mamba2 = static_cast<model::Mamba2Spec&>(config.mixers.at("mamba2"));
  mamba2.head_dim = 16;
  mamba2.d_state = 16;
  mamba2.chunk_size = chunk_size;
  config.check();
  const LanguageModel model(config, 3);
  const at::Tensor position = at::arange(kLength, at::kInt);
  Context context;
  context.seq_idx = ((position >= 13).to(at::kInt) + (position >= 70).to(at::kInt)).unsqueeze(0);
  const at::Tensor tokens = (position * position * 7).remainder(40).to(at::kInt).unsqueeze(0);
  const at::Tensor hidden = model.forward(tokens, context);  // (1, length, d_model)
  const at::Tensor weight = at::sin(at::arange(hidden.numel(), at::kFloat)).view_as(hidden);
  (hidden * weight).sum().backward();
  return {hidden.detach(), model.parameters().at("backbone.embeddings.weight").grad()};
}

double distance(const at::Tensor& a, const at::Tensor& b) {
  return ((a - b).norm() / b.norm()).item<double>();
}

TEST(BlockLength, ChangesRoundingAlone) {
  const Result whole = run(kLength);
  for (const int64_t block : {1, 16, 32, 50, 64, 256}) {
    const Result result = run(block);
    EXPECT_LT(distance(result.hidden, whole.hidden), 1e-5) << block;
    EXPECT_LT(distance(result.gradient, whole.gradient), 1e-5) << block;
  }
}

}  // namespace
}  // namespace adder::nn
