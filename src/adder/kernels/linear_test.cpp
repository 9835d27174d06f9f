#include "adder/kernels/linear.h"

#include "adder/kernels/ref/linear.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels {
namespace {

using namespace testing;

struct Arrays {
  Array<2> x, weight, y;
  Array<1> bias;

  Arrays(int64_t rows, int64_t outs, int64_t depth, DType dtype, bool with_bias, int64_t gap) {
    Rng rng(3);
    x = Array<2>(DType::f32, {rows, depth}, gap).fill(rng);
    weight = Array<2>(dtype, {outs, depth}, gap).fill(rng);
    if (with_bias) bias = Array<1>(DType::f32, {outs}).fill(rng);
    y = Array<2>(DType::f32, {rows, outs}, gap);
  }
  void run(const Parallel& parallel) { linear(x, weight, bias, y, parallel); }
};

TEST(Linear, HandComputed) {
  Arrays a(1, 2, 2, DType::f32, true, 0);
  for (int i = 0; i < 2; ++i) set_at(a.x.view(), i, 1 + i);       // x = (1, 2)
  for (int i = 0; i < 4; ++i) set_at(a.weight.view(), i, 3 + i);  // W = (3, 4; 5, 6)
  for (int i = 0; i < 2; ++i) set_at(a.bias.view(), i, 100 * i);
  a.run(Serial());
  EXPECT_EQ(value_at(a.y.view(), 0), 11);
  EXPECT_EQ(value_at(a.y.view(), 1), 117);
}

TEST(Linear, EveryInstructionSetMatchesReference) {
  const int64_t depths[] = {1, 2, 3, 15, 16, 17, 63, 64, 65, 130};
  const int64_t rows[] = {1, 2, 5, 6, 13, 130}, outs[] = {1, 3, 4, 64, 65, 130};
  const DType dtypes[] = {DType::f32, DType::bf16, DType::f16};
  const auto levels = pairwise({10, 6, 6, 3, 2, 2});
  EXPECT_LE(levels.size(), 70u);
  for (const auto& level : levels) {
    for (const Isa isa : isas()) {
      SCOPED_TRACE(::testing::Message() << to_string(isa) << " rows " << rows[level[1]] << " outs "
                                        << outs[level[2]] << " depth " << depths[level[0]]);
      const IsaScope scope(isa);
      Arrays a(rows[level[1]], outs[level[2]], depths[level[0]], dtypes[level[3]], level[4] == 1,
               3 * level[5]);
      a.run(OddThreads(2));
      Array<2> y = f64_like(a.y.view());
      ref::linear<double>(a.x, a.weight, a.bias, y);
      EXPECT_LT(error_of(a.y.view(), y.view()), 1e-5);
      EXPECT_TRUE(a.y.gaps_untouched());
    }
  }
}

/// A step of decoding gives the bits of a prefill.
TEST(Linear, RowDoesNotDependOnOtherRows) {
  for (const Isa isa : isas()) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f16}) {
      const IsaScope scope(isa);
      Arrays all(17, 67, 77, dtype, true, 0);
      all.run(OddThreads(2));
      for (int64_t row = 0; row < 17; ++row) {
        Array<2> y(DType::f32, {1, 67});
        View<2> x = all.x.view();
        x.size[0] = 1;
        x.data = x.as<float>() + row * x.stride[0];
        linear(x, all.weight, all.bias, y, Serial());
        for (int64_t o = 0; o < 67; ++o)
          ASSERT_EQ(value_at(y.view(), o), value_at(all.y.view(), row * 67 + o)) << to_string(isa);
      }
    }
  }
}

}  // namespace
}  // namespace adder::kernels
