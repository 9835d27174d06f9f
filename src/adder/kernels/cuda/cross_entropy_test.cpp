#include "adder/kernels/cross_entropy.h"

#include "adder/kernels/cuda/test_device.h"
#include "adder/kernels/ref/cross_entropy.h"

namespace adder::kernels {
namespace {

using namespace testing;

enum class Gradient { kNone, kApart, kInPlace };

/// One call on the device and the same in plain loops in double. Every third target is ignored.
struct Case {
  int64_t rows, vocab;
  DType logits_type = DType::f32, dlogits_type = DType::f32;
  Gradient gradient = Gradient::kApart;
  CrossEntropyOptions options = {};
  double spread = 1;
  int64_t gap = 0;  // elements between rows
  bool scaled = false;
};

struct Tile {
  Array<2> logits, dlogits;
  Array<1> target, nll, scale;

  explicit Tile(const Case& c) {
    Rng rng(7);
    logits = Array<2>(c.logits_type, {c.rows, c.vocab}, c.gap).fill(rng, c.spread);
    dlogits = Array<2>(c.dlogits_type, {c.rows, c.vocab}, c.gap);
    target = Array<1>(DType::i64, {c.rows});
    for (int64_t row = 0; row < c.rows; ++row)
      set_at(target.view(), row, row % 3 == 2 ? -100.0 : static_cast<double>(rng.below(c.vocab)));
    nll = Array<1>(DType::f32, {c.rows});
    scale = Array<1>(DType::f32, {c.rows});
    scale.fill_with(1);
    if (c.scaled) scale.fill(rng);
  }

  /// Afterwards `nll` and `dlogits` (in place: `logits`) are what the device wrote.
  void run(const Case& c) const {
    OnDevice device;
    const TestWork work;
    CrossEntropyTile tile;
    tile.logits = device(logits.view());
    tile.target = device(target.view());
    tile.nll = device(nll.view());
    if (c.gradient == Gradient::kApart) tile.dlogits = device(dlogits.view());
    if (c.gradient == Gradient::kInPlace) tile.dlogits = tile.logits;
    if (c.scaled) tile.scale = device(scale.view());
    tile.options = c.options;
    ASSERT_EQ(cuda::cross_entropy_tile(tile, work), nullptr);
    device.fetch();
  }
};

CrossEntropyOptions options_of(int kind) {
  return {.z_loss = kind & 1 ? 1e-2 : 0.0,
          .label_smoothing = kind & 2 ? 0.1 : 0.0,
          .softcap = kind & 4 ? 5.0 : 0.0};
}

void expect_right(const Case& c) {
  Tile tile(c);
  const Array<2> logits = copy_as(DType::f64, tile.logits.view());
  Array<1> nll(DType::f64, {c.rows});
  ref::cross_entropy_rows<double>(logits, tile.target, nll, c.options);
  ref::cross_entropy_rows_backward<double>(logits, tile.target, tile.scale, c.options);
  tile.run(c);
  EXPECT_LT(error_of(tile.nll.view(), nll.view(), 1), 1e-5);
  const Array<2>& gradient = c.gradient == Gradient::kInPlace ? tile.logits : tile.dlogits;
  if (c.gradient != Gradient::kNone)
    EXPECT_LT(error_of(gradient.view(), logits.view(), 1e-2), 1e-5);
  EXPECT_TRUE(gradient.gaps_untouched());
}

TEST(CudaCrossEntropy, MatchesReference) {
  ADDER_NEEDS_DEVICE();
  const int64_t vocabs[] = {1, 3, 8, 63, 64, 130, 1023, 4100, 20480};
  const int64_t rows[] = {1, 3, 40};
  const int64_t gaps[] = {0, 1, 8};
  const double spreads[] = {0.1, 1, 30};
  const DType types[] = {DType::f32, DType::bf16};
  const Gradient gradients[] = {Gradient::kNone, Gradient::kApart, Gradient::kInPlace};
  for (const auto& level : pairwise({9, 3, 3, 3, 2, 2, 3, 8, 2})) {
    Case c{rows[level[1]], vocabs[level[0]], types[level[4]], types[level[5]], gradients[level[6]]};
    c.options = options_of(level[7]);
    c.gap = gaps[level[2]];
    c.spread = spreads[level[3]];
    c.scaled = level[8] == 1;
    if (c.gradient == Gradient::kInPlace) c.dlogits_type = c.logits_type;
    SCOPED_TRACE(::testing::Message()
                 << "rows " << c.rows << " vocab " << c.vocab << " gap " << c.gap << " types "
                 << level[4] << level[5] << " gradient " << level[6] << " options " << level[7]
                 << " spread " << c.spread);
    expect_right(c);
  }
}

/// A block takes several rows, and fetches one while it works at another.
TEST(CudaCrossEntropy, MoreRowsThanBlocks) {
  ADDER_NEEDS_DEVICE();
  for (const DType type : {DType::f32, DType::bf16}) {
    for (const Gradient gradient : {Gradient::kNone, Gradient::kInPlace}) {
      expect_right({.rows = 2000, .vocab = 136, .logits_type = type, .gradient = gradient});
    }
  }
  expect_right({.rows = 300, .vocab = 50280, .dlogits_type = DType::bf16});
}

/// Longer rows than shared memory holds.
TEST(CudaCrossEntropy, LongRows) {
  ADDER_NEEDS_DEVICE();
  for (const Gradient gradient : {Gradient::kNone, Gradient::kApart, Gradient::kInPlace}) {
    expect_right({.rows = 4, .vocab = 128256, .gradient = gradient, .options = options_of(3)});
    expect_right({.rows = 4, .vocab = 128255, .gradient = gradient, .gap = 1});
  }
  expect_right({.rows = 4,
                .vocab = 200007,
                .logits_type = DType::bf16,
                .dlogits_type = DType::bf16,
                .gradient = Gradient::kInPlace,
                .gap = 1});
}

/// Equal logits v: lse = v + ln V, and the smoothed target sees v everywhere, so nll = ln V +
/// z_loss lse^2.
TEST(CudaCrossEntropy, UniformLogits) {
  ADDER_NEEDS_DEVICE();
  const Case c{.rows = 3, .vocab = 1000, .gradient = Gradient::kNone, .options = options_of(3)};
  Tile tile(c);
  tile.logits.fill_with(2);
  tile.run(c);
  const double lse = 2 + std::log(1000.0);
  EXPECT_NEAR(value_at(tile.nll.view(), 0), std::log(1000.0) + 1e-2 * lse * lse, 1e-5);
  EXPECT_EQ(value_at(tile.nll.view(), 2), 0);
}

/// Logits of -inf (words that are masked out) take no part.
TEST(CudaCrossEntropy, MaskedWords) {
  ADDER_NEEDS_DEVICE();
  const Case c{.rows = 1, .vocab = 2100};
  Tile tile(c);
  tile.logits.fill_with(-std::numeric_limits<double>::infinity());
  for (const int j : {1030, 1031, 2099}) set_at(tile.logits.view(), j, 3);
  set_at(tile.target.view(), 0, 1031);
  tile.run(c);
  EXPECT_NEAR(value_at(tile.nll.view(), 0), std::log(3.0), 1e-6);
  EXPECT_NEAR(value_at(tile.dlogits.view(), 1031), -2.0 / 3, 1e-6);
  EXPECT_NEAR(value_at(tile.dlogits.view(), 2099), 1.0 / 3, 1e-6);
  EXPECT_EQ(value_at(tile.dlogits.view(), 0), 0);
}

TEST(CudaCrossEntropy, WildTargetsAndNanStayInTheirRows) {
  ADDER_NEEDS_DEVICE();
  const Case c{.rows = 6, .vocab = 500};
  Tile tile(c);
  set_at(tile.target.view(), 0, 500);
  set_at(tile.target.view(), 1, -1);
  set_at(tile.logits.view(), 3 * 500 + 77, std::numeric_limits<double>::quiet_NaN());
  set_at(tile.logits.view(), 5 * 500 + 77, std::numeric_limits<double>::quiet_NaN());  // ignored
  tile.run(c);
  for (const int row : {0, 1, 3}) EXPECT_TRUE(std::isnan(value_at(tile.nll.view(), row))) << row;
  EXPECT_TRUE(std::isfinite(value_at(tile.nll.view(), 4)));
  for (const int row : {2, 5}) {
    EXPECT_EQ(value_at(tile.nll.view(), row), 0) << row;
    EXPECT_EQ(value_at(tile.dlogits.view(), row * 500 + 77), 0) << row;
  }
}

TEST(CudaCrossEntropy, TheSameBitsAgain) {
  ADDER_NEEDS_DEVICE();
  const Case c{
      .rows = 700, .vocab = 4099, .dlogits_type = DType::bf16, .options = options_of(3), .gap = 1};
  const Tile one(c), two(c);
  one.run(c);
  two.run(c);
  EXPECT_TRUE(one.nll.same_bytes(two.nll) && one.dlogits.same_bytes(two.dlogits));
}

TEST(CudaCrossEntropy, RefusesWhatItCannotDo) {
  const TestWork work;
  float memory[8];
  CrossEntropyTile tile;
  tile.logits = dense<2>(memory, DType::f32, {1, 8});
  tile.dlogits = dense<2>(memory, DType::bf16, {1, 8});
  EXPECT_NE(cuda::cross_entropy_tile(tile, work), nullptr);
  tile.logits.dtype = DType::f64;
  EXPECT_NE(cuda::cross_entropy_tile(tile, work), nullptr);
}

}  // namespace
}  // namespace adder::kernels
