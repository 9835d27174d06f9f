#include "adder/infer/model.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "adder/base/error.h"
#include "adder/base/thread_pool.h"
#include "adder/infer/arena.h"
#include "adder/infer/test_support.h"
#include "adder/model/convert.h"

namespace adder::infer {
namespace {

using namespace testing_support;

const ThreadPool& pool() {
  static const ThreadPool threads(2);
  return threads;
}

using Logits = std::vector<std::vector<float>>;

Logits read_each(Model& model, std::span<const int32_t> ids, State& state) {
  Logits all;
  const auto vocab = static_cast<std::size_t>(model.vocab_size());
  model.prefill_each(ids, state, [&](int64_t first, std::span<const float> tile) {
    EXPECT_EQ(first, static_cast<int64_t>(all.size()));
    for (std::size_t at = 0; at < tile.size(); at += vocab) {
      const auto row = tile.subspan(at, vocab);
      all.emplace_back(row.begin(), row.end());
    }
  });
  return all;
}

std::vector<float> step_one(Model& model, int32_t id, State& state) {
  std::vector<float> logits(static_cast<std::size_t>(model.vocab_size()));
  State* states[] = {&state};
  model.step(std::span(&id, 1), states, logits);
  return logits;
}

/// Largest deviation of a row against the largest magnitude of the expected one.
template <typename A, typename B>
double deviation(const A& got, const B& want) {
  double worst = 0, top = 0;
  EXPECT_EQ(got.size(), want.size());
  for (std::size_t i = 0; i < want.size(); ++i) {
    worst = std::max(worst, std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i])));
    top = std::max(top, std::abs(static_cast<double>(want[i])));
  }
  return worst / top;
}

TEST(Model, AgreesWithPlainLoopsInDouble) {
  for (const auto& options : option_sets()) {
    const RandomModel source(with_options(options));
    Model model(source.config, source.weights, pool());
    const auto ids = random_ids(90, source.config.vocab_size);
    State state = model.new_state();
    const Logits got = read_each(model, ids, state);
    const Rows want = NaiveModel(source).logits(ids);
    ASSERT_EQ(got.size(), ids.size());
    for (std::size_t t = 0; t < ids.size(); ++t) {
      ASSERT_LT(deviation(got[t], want[t]), 2e-5)
          << "token " << t << (options.empty() ? "" : ", " + options[0]);
    }
    EXPECT_EQ(state.tokens, 90);
  }
}

TEST(Model, PiecesAndStepsGiveWhatOnePrefillGives) {
  for (const auto& options : option_sets()) {
    const RandomModel source(with_options(options));
    Model model(source.config, source.weights, pool());
    const auto ids = random_ids(70, source.config.vocab_size);
    State whole = model.new_state(), pieces = model.new_state(), steps = model.new_state();
    const Logits want = read_each(model, ids, whole);
    Logits got;
    std::size_t begin = 0;
    for (const std::size_t end : {1, 3, 4, 20, 52, 70}) {
      const auto part = read_each(model, std::span(ids).subspan(begin, end - begin), pieces);
      got.insert(got.end(), part.begin(), part.end());
      begin = end;
    }
    for (std::size_t t = 0; t < ids.size(); ++t) {
      ASSERT_LT(deviation(got[t], want[t]), 1e-4) << t;
      ASSERT_LT(deviation(step_one(model, ids[t], steps), want[t]), 1e-4) << t;
    }
    EXPECT_EQ(steps.tokens, whole.tokens);
    EXPECT_EQ(pieces.tokens, whole.tokens);
  }
}

TEST(Model, LongTextsPassInTiles) {
  const std::vector<std::vector<std::string>> sets = {
      {},
      {"layers=softmax,mamba1", "softmax.head_dim=8", "softmax.n_kv_heads=1"},
      {"layers=softmax", "softmax.head_dim=8", "softmax.window=300", "softmax.d_conv=3"}};
  for (const auto& options : sets) {
    SCOPED_TRACE(options.empty() ? "" : options.back());
    const RandomModel source(with_options(options));
    Model model(source.config, source.weights, pool());
    const auto ids = random_ids(1300, source.config.vocab_size);
    State state = model.new_state(), other = model.new_state();
    const Logits all = read_each(model, ids, state);
    ASSERT_EQ(all.size(), ids.size());
    const Rows want = NaiveModel(source).logits(ids);
    for (const std::size_t t : {0, 511, 512, 700, 811, 812, 1023, 1024, 1299}) {
      EXPECT_LT(deviation(all[t], want[t]), 1e-4) << t;
    }
    std::vector<float> last(static_cast<std::size_t>(model.vocab_size()));
    model.prefill(ids, other, last);
    EXPECT_EQ(last, all.back());
  }
}

TEST(Model, SequencesSteppedTogetherDoNotMix) {
  const RandomModel source(
      with_options({"mamba2.n_groups=2", "mamba2.learnable_init_states=true"}));
  Model model(source.config, source.weights, pool());
  constexpr std::size_t kCount = 3;
  const auto vocab = static_cast<std::size_t>(model.vocab_size());
  std::vector<State> together, alone;
  for (std::size_t s = 0; s < kCount; ++s) {
    State state = model.new_state();
    read_each(model, random_ids(static_cast<int64_t>(5 + s), model.vocab_size(), s), state);
    together.push_back(state);
    alone.push_back(state);
  }
  State* pointers[] = {&together[0], &together[1], &together[2]};
  std::vector<float> logits(kCount * vocab);
  for (int step = 0; step < 6; ++step) {
    const auto ids = random_ids(kCount, model.vocab_size(), static_cast<uint64_t>(100 + step));
    model.step(ids, pointers, logits);
    for (std::size_t s = 0; s < kCount; ++s) {
      const auto want = step_one(model, ids[s], alone[s]);
      EXPECT_LT(deviation(std::span(logits).subspan(s * vocab, vocab), want), 1e-6);
    }
  }
}

TEST(Model, ASnapshotRestores) {
  const RandomModel source(small_config());
  Model model(source.config, source.weights, pool());
  State state = model.new_state();
  read_each(model, random_ids(9, model.vocab_size()), state);
  const State snapshot = state;
  const auto first = step_one(model, 3, state);
  const auto second = step_one(model, 4, state);
  state = snapshot;
  EXPECT_EQ(state.tokens, 9);
  EXPECT_EQ(step_one(model, 3, state), first);
  EXPECT_EQ(step_one(model, 4, state), second);
  EXPECT_GT(deviation(first, second), 1e-3);
}

TEST(Model, AnyNumberOfThreadsGivesTheSameBits) {
  const Serial serial;
  const ThreadPool three(3);
  for (const auto& options : option_sets()) {
    SCOPED_TRACE(options.empty() ? "" : options[0]);
    const RandomModel source(with_options(options));
    const auto ids = random_ids(100, source.config.vocab_size);
    Model one(source.config, source.weights, serial);
    State a = one.new_state();
    const Logits read = read_each(one, ids, a);
    const State after = a;
    const auto stepped = step_one(one, 5, a);
    for (const ThreadPool* threads : {&pool(), &three}) {
      Model many(source.config, source.weights, *threads);
      State b = many.new_state();
      EXPECT_EQ(read, read_each(many, ids, b));
      EXPECT_EQ(stepped, step_one(many, 5, b));
      // Rows shared out among the threads, and more threads than rows.
      State c = after, d = after, e = after;
      State* together[] = {&c, &d, &e};
      for (const std::size_t count : {2, 3}) {
        c = d = after;
        const std::vector<int32_t> fives(count, 5);
        std::vector<float> logits(count * stepped.size());
        many.step(fives, std::span(together).first(count), logits);
        for (std::size_t i = 0; i < logits.size(); ++i) {
          ASSERT_NEAR(logits[i], stepped[i % stepped.size()], 1e-5) << count;
        }
      }
    }
  }
}

void expect_read_as_stored(const std::vector<std::string>& options, DType dtype) {
  RandomModel source(with_options(options));
  std::map<std::string, std::vector<std::byte>> stored;
  model::Weights weights = source.weights;
  for (auto& [name, view] : weights) {
    stored[name] = model::convert(view, dtype);
    view = {stored[name].data(), dtype, view.shape};
    for (std::size_t i = 0; i < source.storage[name].size(); ++i) {  // what the 16 bits stand for
      source.storage[name][i] = model::element(view, static_cast<int64_t>(i));
    }
  }
  Model model(source.config, weights, pool());
  const auto ids = random_ids(30, model.vocab_size());
  State state = model.new_state(), steps = model.new_state();
  const Logits got = read_each(model, ids, state);
  const Rows want = NaiveModel(source).logits(ids);
  for (std::size_t t = 0; t < ids.size(); ++t) {
    ASSERT_LT(deviation(got[t], want[t]), 2e-5) << t;
    ASSERT_LT(deviation(step_one(model, ids[t], steps), want[t]), 2e-5) << t;
  }
}

TEST(Model, HalfPrecisionWeightsAreReadAsStored) {
  for (const DType dtype : {DType::bf16, DType::f16}) {
    for (auto options : option_sets()) {
      SCOPED_TRACE(options.empty() ? "" : options[0]);
      expect_read_as_stored(options, dtype);
    }
    expect_read_as_stored({"mamba2.bias=true", "tie_embeddings=false"}, dtype);
  }
}

TEST(Model, RefusesWhatDoesNotFit) {
  const RandomModel source(small_config()), wider(with_options({"mamba2.d_state=13"}));
  Model model(source.config, source.weights, pool()), other(wider.config, wider.weights, pool());
  State state = model.new_state(), foreign = other.new_state();
  std::vector<float> logits(static_cast<std::size_t>(model.vocab_size()));
  const auto kind = [](auto&& call) {
    try {
      call();
    } catch (const Error& error) {
      return error.kind();
    }
    return ErrorKind::kInternal;
  };
  const std::vector<int32_t> good = {1}, high = {29}, low = {-1};
  EXPECT_EQ(kind([&] { model.prefill(high, state, logits); }), ErrorKind::kUsage);
  EXPECT_EQ(kind([&] { model.prefill(low, state, logits); }), ErrorKind::kUsage);
  EXPECT_EQ(kind([&] { model.prefill({}, state, logits); }), ErrorKind::kShape);
  EXPECT_EQ(kind([&] { model.prefill(good, foreign, logits); }), ErrorKind::kShape);
  EXPECT_EQ(kind([&] { model.prefill(good, state, std::span(logits).first(3)); }),
            ErrorKind::kShape);
  EXPECT_EQ(kind([&] { Model(wider.config, source.weights, pool()); }), ErrorKind::kShape);
}

TEST(Arena, IsOneBlockOnceWarm) {
  Arena arena;
  for (int round = 0; round < 3; ++round) {
    const Arena::Scope scope(arena);
    float* a = arena.take(100);
    float* b = arena.take(1000);
    a[99] = 1;
    {
      const Arena::Scope inner(arena);
      arena.take(5000)[4999] = 2;
    }
    float* c = arena.take(5000);
    c[0] = 3;
    EXPECT_EQ(a[99], 1);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b) % 64, 0u);
    if (round > 0) {
      EXPECT_EQ(b - a, 112);
    }
  }
  const int64_t held = arena.capacity();
  {
    const Arena::Scope scope(arena);
    arena.take(held - 16);
  }
  EXPECT_EQ(arena.capacity(), held);
}

}  // namespace
}  // namespace adder::infer
