#include "adder/kernels/cross_entropy.h"

#include "adder/kernels/ref/cross_entropy.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels {
namespace {

using namespace testing;

/// Every array of one call; nll is poisoned, every third target is ignored.
struct Arrays {
  Array<2> logits;
  Array<1> target, nll, scale;
  CrossEntropyOptions options;

  Arrays(int64_t rows, int64_t vocab, DType dtype, const CrossEntropyOptions& chosen, double spread)
      : options(chosen) {
    Rng rng(5);
    logits = Array<2>(dtype, {rows, vocab}).fill(rng, spread);
    target = Array<1>(DType::i64, {rows});
    for (int64_t row = 0; row < rows; ++row)
      set_at(target.view(), row, row % 3 == 2 ? -100.0 : static_cast<double>(rng.below(vocab)));
    nll = Array<1>(dtype, {rows});
    scale = Array<1>(dtype, {rows}).fill(rng);
  }
  void forward(const Parallel& parallel) {
    cross_entropy_rows(logits, target, nll, options, parallel);
  }
  void backward(const Parallel& parallel) {
    cross_entropy_rows_backward(logits, target, scale, options, parallel);
  }
};

CrossEntropyOptions options_of(int kind) {
  return {.z_loss = kind & 1 ? 1e-2 : 0.0,
          .label_smoothing = kind & 2 ? 0.1 : 0.0,
          .softcap = kind & 4 ? 5.0 : 0.0};
}

/// Equal logits v: lse = v + ln V, and the smoothed target sees v everywhere, so nll = ln V +
/// z_loss lse^2.
TEST(CrossEntropy, UniformLogits) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    Arrays a(3, 1000, dtype, options_of(3), 1);
    a.logits.fill_with(2);
    a.forward(Serial());
    const double lse = 2 + std::log(1000.0);
    EXPECT_NEAR(value_at(a.nll.view(), 0), std::log(1000.0) + 1e-2 * lse * lse, 1e-5);
    EXPECT_EQ(value_at(a.nll.view(), 2), 0);
  }
}

TEST(CrossEntropy, SoftcapBoundsTheLoss) {
  Arrays a(1, 2, DType::f64, options_of(4), 1);
  set_at(a.logits.view(), 0, 1e6);
  set_at(a.logits.view(), 1, -1e6);
  set_at(a.target.view(), 0, 1);
  a.forward(Serial());  // scores are 5 and -5
  EXPECT_NEAR(value_at(a.nll.view(), 0), std::log1p(std::exp(-10.0)) + 10, 1e-12);
}

TEST(CrossEntropy, GradientsMatchFiniteDifferences) {
  for (int kind = 0; kind < 8; ++kind) {
    Arrays a(3, 7, DType::f64, options_of(kind), 2), gradient = a;
    gradient.backward(Serial());
    const auto loss = [&] {
      a.forward(Serial());
      return dot(a.nll.view(), a.scale.view());
    };
    expect_gradient(loss, a.logits.view(), gradient.logits.view(), "logits");
  }
}

TEST(CrossEntropy, EveryInstructionSetMatchesReference) {
  const int64_t vocabs[] = {1, 2, 3, 15, 16, 17, 63, 64, 65, 130, 1023, 3000};
  const int64_t rows[] = {1, 3, 5};
  const double spreads[] = {0.1, 1, 30};
  const auto levels = pairwise({12, 3, 8, 3});
  EXPECT_LE(levels.size(), 100u);
  for (const auto& level : levels) {
    for (const Isa isa : isas()) {
      SCOPED_TRACE(::testing::Message()
                   << to_string(isa) << " vocab " << vocabs[level[0]] << " options " << level[2]
                   << " spread " << spreads[level[3]]);
      const IsaScope scope(isa);
      Arrays a(rows[level[1]], vocabs[level[0]], DType::f32, options_of(level[2]),
               spreads[level[3]]);
      Array<1> nll = f64_like(a.nll.view());
      ref::cross_entropy_rows<double>(a.logits, a.target, nll, a.options);
      a.forward(OddThreads(2));
      EXPECT_LT(error_of(a.nll.view(), nll.view(), 1), 1e-5);
      const Array<2> gradient = copy_as(DType::f64, a.logits.view());
      ref::cross_entropy_rows_backward<double>(gradient, a.target, a.scale, a.options);
      a.backward(OddThreads(2));
      EXPECT_LT(error_of(a.logits.view(), gradient.view(), 1e-2), 1e-4);
    }
  }
}

/// Logits of -inf (words that are masked out) take no part.
TEST(CrossEntropy, MaskedWords) {
  for (const Isa isa : isas()) {
    const IsaScope scope(isa);
    Arrays a(1, 2100, DType::f32, {}, 1);
    a.logits.fill_with(-std::numeric_limits<double>::infinity());
    for (const int j : {1030, 1031, 2099}) set_at(a.logits.view(), j, 3);
    set_at(a.target.view(), 0, 1031);
    a.forward(Serial());
    EXPECT_NEAR(value_at(a.nll.view(), 0), std::log(3.0), 1e-6);
    a.scale.fill_with(1);
    a.backward(Serial());
    EXPECT_NEAR(value_at(a.logits.view(), 1031), -2.0 / 3, 1e-6);
    EXPECT_NEAR(value_at(a.logits.view(), 2099), 1.0 / 3, 1e-6);
    EXPECT_EQ(value_at(a.logits.view(), 0), 0);
  }
}

TEST(CrossEntropy, ThreadsDoNotChangeBits) {
  Arrays one(37, 130, DType::f32, options_of(7), 1), many = one;
  one.forward(Serial());
  many.forward(OddThreads(3));
  one.backward(Serial());
  many.backward(OddThreads(3));
  EXPECT_TRUE(one.nll.same_bytes(many.nll) && one.logits.same_bytes(many.logits));
}

}  // namespace
}  // namespace adder::kernels
