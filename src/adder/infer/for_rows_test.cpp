#include "adder/infer/for_rows.h"

#include <gtest/gtest.h>

#include "adder/infer/model.h"
#include "adder/infer/test_support.h"

namespace adder::infer {
namespace {

using namespace testing_support;

/// Says that it has threads, and counts how often work is given to them.
class CountedThreads final : public Parallel {
 public:
  void run(int64_t count, int64_t, RangeBody body) const override {
    ++runs;
    for (int64_t i = count - 1; i >= 0; --i) body(i, i + 1);
  }
  int threads() const override { return 3; }

  mutable int64_t runs = 0;
};

TEST(ForRows, EachRowOnceWithAllThreadsOrOne) {
  for (const int64_t count : {0, 1, 2, 3, 10}) {
    const CountedThreads threads;
    std::vector<int> seen(static_cast<std::size_t>(count));
    for_rows(count, threads, [&](int64_t row, const Parallel& of_row) {
      ++seen[static_cast<std::size_t>(row)];
      EXPECT_EQ(of_row.threads(), count < 3 ? 3 : 1) << count;
    });
    EXPECT_EQ(seen, std::vector<int>(seen.size(), 1));
  }
}

// What all threads do together and then wait for must not grow with the number of sequences.
TEST(ForRows, MixersShareOutTheRowsOfAStep) {
  for (const auto& options : option_sets()) {
    SCOPED_TRACE(options.empty() ? "" : options[0]);
    const RandomModel source(with_options(options));
    const CountedThreads threads;
    Model model(source.config, source.weights, threads);
    const auto runs_of = [&](std::size_t count) {
      std::vector<State> states(count, model.new_state());
      std::vector<State*> pointers;
      for (State& state : states) pointers.push_back(&state);
      std::vector<float> logits(count * static_cast<std::size_t>(model.vocab_size()));
      threads.runs = 0;
      model.step(std::vector<int32_t>(count, 1), pointers, logits);
      return threads.runs;
    };
    EXPECT_EQ(runs_of(3), runs_of(12));
  }
}

}  // namespace
}  // namespace adder::infer
