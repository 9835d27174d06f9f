// YS-71M's layer where its arrays are made in parts, and after long texts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "adder/base/thread_pool.h"
#include "adder/infer/model.h"
#include "adder/infer/test_support.h"
#include "adder/infer/word_ssm_base.h"

namespace adder::infer {
namespace {

using namespace testing_support;

/// One layer and nothing beside it.
std::vector<std::string> alone(std::vector<std::string> options) {
  options.insert(options.end(), {"layers=word_ssm", "n_layer=1", "norm=none", "residual=false",
                                 "tie_embeddings=false", "head_bias=true"});
  return options;
}

/// Logits after the tokens whose numbers are a multiple of `every`, and after the last.
std::vector<std::vector<float>> read(Model& model, std::span<const int32_t> ids, State& state,
                                     int64_t every = 1) {
  std::vector<std::vector<float>> logits;
  const auto vocab = static_cast<std::size_t>(model.vocab_size());
  const auto total = static_cast<int64_t>(ids.size());
  model.prefill_each(ids, state, [&](int64_t first, std::span<const float> tile) {
    for (std::size_t at = 0; at < tile.size(); at += vocab, ++first) {
      if (first % every != 0 && first + 1 < total) continue;
      logits.emplace_back(tile.begin() + at, tile.begin() + at + vocab);
    }
  });
  return logits;
}

// 600 tokens are a tile of 512 and one of 88. Of each form, so many states that the matrices of 512
// tokens are more than are made at once.
TEST(WordSsm, LongTextsAreReadInParts) {
  const ThreadPool pool(2);
  for (const auto& [form, d_state] :
       {std::pair{"A", 150}, {"B", 40}, {"C", 150}, {"D", 50}, {"E", 50}}) {
    const RandomModel source(with_options(alone(
        {std::string("word_ssm.form=") + form, "word_ssm.d_state=" + std::to_string(d_state)})));
    const int64_t matrix = std::string(form) < "D" ? d_state * 16 : d_state * d_state;
    EXPECT_TRUE(std::string(form) == "B" || 512 * matrix > kMatrixFloats) << form;
    Model model(source.config, source.weights, pool);
    const auto ids = random_ids(600, source.config.vocab_size);
    State state = model.new_state();
    const auto got = read(model, ids, state);
    const Rows want = NaiveModel(source).logits(ids);
    for (std::size_t t = 0; t < ids.size(); ++t) {
      double worst = 0, top = 0;
      for (std::size_t i = 0; i < want[t].size(); ++i) {
        worst = std::max(worst, std::abs(static_cast<double>(got[t][i]) - want[t][i]));
        top = std::max(top, std::abs(want[t][i]));
      }
      ASSERT_LT(worst, 5e-5 * top) << "form " << form << ", token " << t;
    }
  }
}

// What forgets answers a text that repeats itself with answers that repeat themselves, however long
// it goes on: the memories here are 256 tokens at most.
TEST(WordSsm, ALongTextDoesNotRunAway) {
  for (const char* form : {"A", "B", "C", "D", "E"}) {
    const model::ModelConfig config =
        with_options(alone({std::string("word_ssm.form=") + form, "word_ssm.d_state=6", "d_model=6",
                            "embedding_std=1"}));
    std::map<std::string, std::vector<float>> values;
    model::Weights weights;
    for (const model::TensorSpec& spec : model::tensor_specs(config)) {  // as training starts
      auto& own = values[spec.name];
      own.resize(static_cast<std::size_t>(model::element_count(spec.shape)));
      model::initialise(spec, 1, own.data());
      weights[spec.name] = {own.data(), DType::f32, spec.shape};
    }
    const Serial serial;
    Model model(config, weights, serial);
    constexpr int64_t kPeriod = 10000, kPeriods = 6;
    auto ids = random_ids(kPeriod, config.vocab_size);
    const auto once = ids;
    for (int64_t i = 1; i < kPeriods; ++i) ids.insert(ids.end(), once.begin(), once.end());
    State state = model.new_state();
    const auto answers = read(model, ids, state, kPeriod / 10);
    ASSERT_EQ(answers.size(), 10 * kPeriods + 1u);
    for (std::size_t i = 20; i < 10 * kPeriods; ++i) {
      for (std::size_t v = 0; v < answers[i].size(); ++v) {
        ASSERT_TRUE(std::isfinite(answers[i][v])) << form;
        ASSERT_NEAR(answers[i][v], answers[i - 10][v], 1e-4) << "form " << form << ", answer " << i;
      }
    }
  }
}

// The slowest decay that is allowed adds up a million tokens and stays a number: the state is at
// most the sum of a^j |k| |v|.
TEST(WordSsm, FormAWithTheLongestMemoryStaysBounded) {
  const ThreadPool pool(2);
  const RandomModel source(
      with_options(alone({"word_ssm.memory=1e6", "d_model=4", "word_ssm.d_state=4"})));
  Model model(source.config, source.weights, pool);
  State state = model.new_state();
  const std::vector<int32_t> one(1000000, 3);  // the same k and v each time
  std::vector<float> logits(static_cast<std::size_t>(model.vocab_size()));
  model.prefill(std::span(one).first(1), state, logits);
  std::vector<float> kv(state.array(0, 0), state.array(0, 0) + 16);
  model.prefill(std::span(one).subspan(1), state, logits);
  for (int64_t i = 12; i < 16; ++i) {  // a = 1 - 1e-6: 1e6 (1 - 1/e) times k v
    EXPECT_NEAR(state.array(0, 0)[i] / kv[i], 1e6 * (1 - std::exp(-1.0)), 2e4);
  }
}

}  // namespace
}  // namespace adder::infer
