// The softmax mixer against attention written as plain loops in double (mamba-core 2.5).
#include "adder/infer/softmax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "adder/base/thread_pool.h"
#include "adder/infer/model.h"
#include "adder/infer/test_support.h"

namespace adder::infer {
namespace {

using namespace testing_support;

const ThreadPool& pool() {
  static const ThreadPool threads(2);
  return threads;
}

model::ModelConfig softmax_config(std::vector<std::string> options) {
  options.insert(options.begin(), {"layers=softmax", "softmax.head_dim=8"});
  return with_options(options);
}

std::vector<std::vector<std::string>> softmax_sets() {
  return {{},
          {"softmax.n_heads=6", "softmax.n_kv_heads=2", "softmax.qkv_bias=true"},
          {"softmax.window=11", "softmax.rotary_dim=4", "softmax.out_bias=true"},
          {"softmax.rotary_interleaved=true", "softmax.rotary_base=100", "softmax.scale=0.9"},
          {"softmax.d_conv=3", "softmax.d_mlp=10", "softmax.n_kv_heads=1"},
          {"softmax.d_conv=1", "softmax.rotary_dim=0", "softmax.window=1"},
          {"softmax.d_conv=4", "softmax.window=7", "softmax.n_heads=3", "softmax.n_kv_heads=1"}};
}

double deviation(const float* got, const Row& want) {
  double worst = 0, top = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::abs(got[i] - want[i]));
    top = std::max(top, std::abs(want[i]));
  }
  return worst / top;
}

/// One mixer with random weights and inputs, and what plain loops say.
struct Bench {
  explicit Bench(const std::vector<std::string>& options, int64_t length = 90)
      : source(softmax_config(options)), mixer(make_softmax(source.config, 0, source.weights)) {
    Rng rng(3);
    for (int64_t t = 0; t < length; ++t) {
      Row& row = input.emplace_back();
      for (int64_t i = 0; i < width(); ++i) {
        x.push_back(static_cast<float>(rng.normal()));
        row.push_back(x.back());
      }
    }
    want = NaiveSoftmax(source, model::mixer_prefix(0)).mix(input);
  }
  int64_t width() const { return source.config.d_model; }

  void prefill(State& state, int64_t length) {
    std::vector<float> y(static_cast<std::size_t>(length * width()));
    const Arena::Scope scope(arena);
    mixer->prefill(x.data() + state.tokens * width(), length, state, y.data(), arena, pool());
    for (int64_t t = 0; t < length; ++t) {
      const int64_t at = state.tokens + t;
      EXPECT_LT(deviation(y.data() + t * width(), want[at]), 1e-5) << "token " << at;
    }
    state.tokens += length;
  }
  void step(std::span<State* const> states) {
    std::vector<float> in, y(states.size() * static_cast<std::size_t>(width()));
    for (const State* state : states) {
      const auto row = x.begin() + state->tokens * width();
      in.insert(in.end(), row, row + width());
    }
    const Arena::Scope scope(arena);
    mixer->step(in.data(), states, y.data(), arena, pool());
    for (std::size_t s = 0; s < states.size(); ++s) {
      EXPECT_LT(
          deviation(y.data() + s * static_cast<std::size_t>(width()), want[states[s]->tokens]),
          1e-5)
          << "state " << s << ", token " << states[s]->tokens;
      ++states[s]->tokens;
    }
  }

  RandomModel source;
  std::unique_ptr<Mixer> mixer;
  std::vector<float> x;
  Rows input, want;
  Arena arena;
};

class EveryOptionSet : public testing::TestWithParam<int> {
 protected:
  Bench bench_{softmax_sets()[static_cast<std::size_t>(GetParam())]};
};
INSTANTIATE_TEST_SUITE_P(Softmax, EveryOptionSet, testing::Range(0, 7));

TEST_P(EveryOptionSet, PrefillInPiecesAgreesWithPlainLoops) {
  State whole(bench_.source.config), pieces(bench_.source.config);
  bench_.prefill(whole, 90);
  for (const int64_t length : {1, 2, 30, 1, 7, 49}) bench_.prefill(pieces, length);
}

TEST_P(EveryOptionSet, StepsOfStatesOfSeveralLengthsAgreeWithPlainLoops) {
  State a(bench_.source.config), b = a, c = a;
  bench_.prefill(a, 37);
  bench_.prefill(b, 3);
  State* states[] = {&a, &b, &c};
  for (int i = 0; i < 50; ++i) bench_.step(states);
  State* alone[] = {&b};
  bench_.step(alone);
}

TEST_P(EveryOptionSet, ASnapshotRestores) {
  State state(bench_.source.config);
  bench_.prefill(state, 40);
  const State snapshot = state;
  State* states[] = {&state};
  for (int i = 0; i < 20; ++i) bench_.step(states);
  state = snapshot;
  bench_.prefill(state, 30);
}

TEST(Softmax, AWindowBoundsTheState) {
  Bench bench({"softmax.window=11"}, 600);
  State state(bench.source.config);
  State* states[] = {&state};
  bench.prefill(state, 200);
  while (state.tokens < 600) {
    bench.step(states);
    EXPECT_GE(state.rows(0, 0), 11);
    EXPECT_LE(state.rows(0, 0), state.tokens == 201 ? 211 : 22);
  }
}

// Rotary positions are those of the text, not of the rows kept: far into a text as at its
// beginning, the same tokens give the same result, for only distances count.
TEST(Softmax, APositionFarIntoTheTextIsAsExact) {
  Bench bench({"softmax.window=11"}, 60);
  State far(bench.source.config);
  constexpr int64_t kFar = 10000000;
  std::vector<float> y(static_cast<std::size_t>(60 * bench.width()));
  far.tokens = kFar;
  const Arena::Scope scope(bench.arena);
  bench.mixer->prefill(bench.x.data(), 60, far, y.data(), bench.arena, pool());
  for (int64_t t = 0; t < 60; ++t) {
    EXPECT_LT(deviation(y.data() + t * bench.width(), bench.want[t]), 1e-5) << t;
  }
}

TEST(Softmax, ModelsMixItWithOthersAndWithMlps) {
  const RandomModel source(with_options({"layers=mamba2,softmax", "n_layer=4", "softmax.head_dim=8",
                                         "mlp.kind=swiglu", "softmax.d_conv=4"}));
  Model model(source.config, source.weights, pool());
  const auto ids = random_ids(40, model.vocab_size());
  const auto vocab = static_cast<std::size_t>(model.vocab_size());
  std::vector<float> whole(vocab), stepped(vocab);
  State a = model.new_state(), b = model.new_state();
  model.prefill(ids, a, whole);
  State* states[] = {&b};
  for (const int32_t id : ids) model.step(std::span(&id, 1), states, stepped);
  EXPECT_LT(deviation(stepped.data(), Row(whole.begin(), whole.end())), 2e-5);
  EXPECT_EQ(a.rows(1, 0), 40);
  EXPECT_EQ(a.rows(0, 0), 0);
  EXPECT_TRUE(a.same_layout(model.new_state()));  // whatever the lengths
}

}  // namespace
}  // namespace adder::infer
