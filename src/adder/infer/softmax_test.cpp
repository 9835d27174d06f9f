// The softmax mixer against attention written as plain loops in double (mamba-core 2.5).
#include "adder/infer/softmax.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "adder/base/thread_pool.h"
#include "adder/infer/model.h"
#include "adder/infer/test_support.h"
#include "adder/model/softmax_spec.h"

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

class NaiveSoftmax {
 public:
  explicit NaiveSoftmax(const RandomModel& source)
      : source_(source),
        spec_(static_cast<const model::SoftmaxSpec&>(source.config.mixer(0))),
        heads_(spec_.n_heads > 0 ? spec_.n_heads : source.config.d_model / spec_.head_dim),
        kv_heads_(spec_.n_kv_heads > 0 ? spec_.n_kv_heads : heads_) {}

  Rows mix(const Rows& input) const {
    const int64_t P = spec_.head_dim, q_size = heads_ * P, kv_size = kv_heads_ * P;
    Rows projected, qkv, out;
    for (const Row& x : input) {
      projected.push_back(product(x, "in_proj"));
      qkv.push_back(convolved(projected));
      const auto position = static_cast<double>(qkv.size() - 1);
      for (int64_t h = 0; h < heads_ + kv_heads_; ++h) turn(qkv.back().data() + h * P, position);
    }
    for (std::size_t t = 0; t < input.size(); ++t) {
      Row y;
      for (int64_t h = 0; h < heads_; ++h) {
        const int64_t g = h / (heads_ / kv_heads_);
        const Row head = attend(qkv, t, h * P, q_size + g * P, q_size + kv_size + g * P);
        y.insert(y.end(), head.begin(), head.end());
      }
      const double* up = projected[t].data() + q_size + 2 * kv_size;
      for (int64_t i = 0; i < spec_.d_mlp; ++i) {
        const double gate = up[spec_.d_mlp + i];
        y.push_back(up[i] * gate / (1 + std::exp(-gate)));
      }
      out.push_back(product(y, "out_proj"));
    }
    return out;
  }

 private:
  Row get(const std::string& name) const {
    const auto found = source_.storage.find("backbone.layers.0.mixer." + name);
    if (found == source_.storage.end()) return {};
    return Row(found->second.begin(), found->second.end());
  }
  Row product(const Row& x, const std::string& name) const {
    const Row w = get(name + ".weight");
    Row y = get(name + ".bias");
    y.resize(w.size() / x.size());
    for (std::size_t o = 0; o < y.size(); ++o) {
      for (std::size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
    }
    return y;
  }
  /// q, k and v of the last row.
  Row convolved(const Rows& rows) const {
    const int64_t width = (heads_ + 2 * kv_heads_) * spec_.head_dim, W = spec_.d_conv;
    Row y(rows.back().begin(), rows.back().begin() + width);
    if (W == 0) return y;
    const Row weight = get("conv1d.weight"), bias = get("conv1d.bias");
    const auto t = static_cast<int64_t>(rows.size()) - 1;
    for (int64_t c = 0; c < width; ++c) {
      y[c] = bias[c];
      for (int64_t back = 0; back < W && back <= t; ++back) {
        y[c] += weight[c * W + W - 1 - back] * rows[t - back][c];
      }
    }
    return y;
  }
  void turn(double* x, double position) const {
    const int64_t dim = spec_.rotary_dim < 0 ? spec_.head_dim : spec_.rotary_dim;
    for (int64_t i = 0; i < dim / 2; ++i) {
      const double angle = position / std::pow(spec_.rotary_base, 2.0 * i / dim);
      double& a = spec_.rotary_interleaved ? x[2 * i] : x[i];
      double& b = spec_.rotary_interleaved ? x[2 * i + 1] : x[i + dim / 2];
      const double before = a;
      a = before * std::cos(angle) - b * std::sin(angle);
      b = before * std::sin(angle) + b * std::cos(angle);
    }
  }
  Row attend(const Rows& qkv, std::size_t t, int64_t q, int64_t k, int64_t v) const {
    const int64_t P = spec_.head_dim;
    const double scale = spec_.scale > 0 ? spec_.scale : 1 / std::sqrt(static_cast<double>(P));
    Row y(static_cast<std::size_t>(P));
    double total = 0;
    for (std::size_t s = 0; s <= t; ++s) {
      if (spec_.window > 0 && static_cast<int64_t>(t - s) >= spec_.window) continue;
      double dot = 0;
      for (int64_t i = 0; i < P; ++i) dot += qkv[t][q + i] * qkv[s][k + i];
      const double weight = std::exp(scale * dot);
      total += weight;
      for (int64_t i = 0; i < P; ++i) y[i] += weight * qkv[s][v + i];
    }
    for (double& value : y) value /= total;
    return y;
  }

  const RandomModel& source_;
  const model::SoftmaxSpec& spec_;
  int64_t heads_, kv_heads_;
};

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
    want = NaiveSoftmax(source).mix(input);
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
