#include "adder/kernels/attention.h"

#include "adder/kernels/ref/attention.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels {
namespace {

using namespace testing;

struct Case {
  int64_t length, first, kv_heads, group, head_dim, window = 0, gap = 0;
  DType dtype = DType::f32;
  double spread = 1;  // of q: larger makes sharper weights
};

struct Arrays {
  Array<3> q, k, v, y;
  AttentionInputs in;

  explicit Arrays(const Case& c) {
    Rng rng(5);
    const int64_t heads = c.kv_heads * c.group, keys = c.first + c.length;
    q = Array<3>(c.dtype, {c.length, heads, c.head_dim}, c.gap).fill(rng, c.spread);
    k = Array<3>(c.dtype, {keys, c.kv_heads, c.head_dim}, c.gap).fill(rng);
    v = Array<3>(c.dtype, {keys, c.kv_heads, c.head_dim}, 2 * c.gap).fill(rng, 1, 0.5);
    y = Array<3>(c.dtype, {c.length, heads, c.head_dim}, c.gap);
    in = {q, k, v, c.first, c.window, 1 / std::sqrt(static_cast<double>(c.head_dim))};
  }
};

// Two keys, one dimension: the weights are a logistic function of the difference of the scores.
TEST(Attention, HandComputed) {
  for (const DType dtype : {DType::f64, DType::f32}) {
    Arrays a({.length = 2, .first = 0, .kv_heads = 1, .group = 1, .head_dim = 1, .dtype = dtype});
    const double q[] = {9, 2}, k[] = {1, 0.5}, v[] = {10, 20};
    for (int i = 0; i < 2; ++i) {
      set_at(a.q.view(), i, q[i]);
      set_at(a.k.view(), i, k[i]);
      set_at(a.v.view(), i, v[i]);
    }
    a.in.scale = 3;
    attention(a.in, a.y, Serial());
    EXPECT_NEAR(value_at(a.y.view(), 0), 10, 1e-5);
    EXPECT_NEAR(value_at(a.y.view(), 1), 20 - 10 / (1 + std::exp(-3.0)), 1e-5);
  }
}

TEST(Attention, EqualKeysGiveTheMeanOfTheWindow) {
  Arrays a({.length = 90, .first = 70, .kv_heads = 2, .group = 2, .head_dim = 3, .window = 7});
  a.k.fill_with(0.5);
  for (int64_t j = 0; j < 160; ++j)
    for (int64_t i = 0; i < 6; ++i)
      set_at(a.v.view(), 6 * j + i, static_cast<double>(j) + 1000.0 * static_cast<double>(i / 3));
  attention(a.in, a.y, Serial());
  for (int64_t t = 0; t < 90; ++t)
    for (int64_t h = 0; h < 4; ++h)
      EXPECT_NEAR(value_at(a.y.view(), 12 * t + 3 * h),
                  static_cast<double>(70 + t - 3) + (h < 2 ? 0 : 1000), 1e-3)
          << t << " " << h;
}

std::vector<Case> cases() {
  const int64_t lengths[] = {1, 2, 15, 64, 65, 130}, firsts[] = {0, 1, 63, 64, 200},
                dims[] = {1, 8, 15, 16, 40, 64, 72}, groups[] = {1, 2, 3, 7, 100},
                windows[] = {0, 1, 5, 64, 100, 1000};
  std::vector<Case> cases;
  for (const auto& level : pairwise({6, 5, 7, 5, 6, 2, 2, 2}))
    cases.push_back({.length = lengths[level[0]],
                     .first = firsts[level[1]],
                     .kv_heads = 1 + level[5],
                     .group = groups[level[3]],
                     .head_dim = dims[level[2]],
                     .window = windows[level[4]],
                     .gap = 3 * level[6],
                     .spread = level[7] == 0 ? 1.0 : 40.0});
  EXPECT_LE(cases.size(), 60u);
  return cases;
}

TEST(Attention, EveryInstructionSetMatchesReference) {
  for (const Case& c : cases()) {
    Arrays a(c);
    Array<3> want = f64_like(a.y.view());
    ref::attention<double>(a.in, want);
    for (const Isa isa : isas()) {
      SCOPED_TRACE(::testing::Message()
                   << to_string(isa) << " length " << c.length << " first " << c.first << " group "
                   << c.group << " head_dim " << c.head_dim << " window " << c.window);
      const IsaScope scope(isa);
      Arrays b(c);
      attention(b.in, b.y, OddThreads(2));
      EXPECT_LT(error_of(b.y.view(), want.view()), c.spread > 1 ? 1e-4 : 1e-5);
      EXPECT_TRUE(b.y.gaps_untouched());
    }
  }
}

// exp(score) alone would overflow; shifting all scores changes nothing.
TEST(Attention, LargeScoresDoNotOverflow) {
  Arrays a({.length = 3, .first = 100, .kv_heads = 1, .group = 1, .head_dim = 16, .spread = 5000});
  attention(a.in, a.y, Serial());
  Array<3> want = f64_like(a.y.view());
  ref::attention<double>(a.in, want);
  EXPECT_LT(error_of(a.y.view(), want.view()), 1e-2);
}

TEST(Attention, ThreadsDoNotChangeBits) {
  const Case c{.length = 150, .first = 33, .kv_heads = 3, .group = 2, .head_dim = 24};
  Arrays one(c), many(c);
  attention(one.in, one.y, Serial());
  attention(many.in, many.y, OddThreads(3));
  EXPECT_TRUE(one.y.same_bytes(many.y));
}

TEST(Attention, NotANumberIsNotHidden) {
  Arrays a({.length = 1, .first = 70, .kv_heads = 1, .group = 1, .head_dim = 8});
  set_at(a.k.view(), 8 * 3, std::nan(""));
  attention(a.in, a.y, Serial());
  EXPECT_TRUE(std::isnan(value_at(a.y.view(), 0)));
}

// A key or value that a query does not see (a later one, or one out of its window) does not touch
// it, whatever it holds; those that see it get what is there.
TEST(Attention, WhatIsNotSeenDoesNotCount) {
  constexpr int64_t kLength = 70, kFirst = 30, kDim = 40, kWindow = 9;
  const Case c{.length = kLength,
               .first = kFirst,
               .kv_heads = 1,
               .group = 2,
               .head_dim = kDim,
               .window = kWindow};
  for (const double value : {std::numeric_limits<double>::infinity(), std::nan("")}) {
    for (const int64_t bad : {25, 36, 60, 99}) {
      for (const Isa isa : isas()) {
        SCOPED_TRACE(::testing::Message() << to_string(isa) << " key " << bad << " " << value);
        const IsaScope scope(isa);
        Arrays clean(c), dirty(c);
        for (int64_t i = 0; i < kDim; ++i) {
          set_at(dirty.v.view(), bad * kDim + i, value);
          if (std::isnan(value)) set_at(dirty.k.view(), bad * kDim + i, value);
        }
        attention(clean.in, clean.y, Serial());
        attention(dirty.in, dirty.y, Serial());
        for (int64_t i = 0; i < count_of(clean.y.view()); ++i) {
          const int64_t own = kFirst + i / (2 * kDim);
          if (bad <= own && bad > own - kWindow) {
            ASSERT_FALSE(std::isfinite(value_at(dirty.y.view(), i))) << own;
          } else {
            ASSERT_EQ(value_at(dirty.y.view(), i), value_at(clean.y.view(), i)) << own;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace adder::kernels
