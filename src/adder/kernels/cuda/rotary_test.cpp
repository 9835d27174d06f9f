#include "adder/kernels/rotary.h"

#include "adder/kernels/cuda/test_device.h"
#include "adder/kernels/ref/rotary.h"

namespace adder::kernels {
namespace {

using namespace testing;

struct Case {
  DType type;
  int64_t head_dim, dim, heads, gap;
  bool interleaved;
};

/// One row of `length` tokens from position `first` on, against the plain loops in double; then
/// turned back.
void expect_turned(const Case& c) {
  constexpr int64_t kLength = 37, kFirst = 70000;
  constexpr double kBase = 10000;
  Rng rng(3);
  const Array<4> x = Array<4>(c.type, {1, kLength, c.heads, c.head_dim}, c.gap).fill(rng);
  const Array<4> y(c.type, {1, kLength, c.heads, c.head_dim}, c.gap);
  const Array<4> back(DType::f32, {1, kLength, c.heads, c.head_dim});
  const Array<2> position(DType::i64, {1, kLength});
  for (int64_t t = 0; t < kLength; ++t) set_at(position.view(), t, double(kFirst + t));
  const auto turn = [&](const Array<4>& from, const Array<4>& to, bool inverse) {
    OnDevice device;
    const RotaryTokens args{device(from.view()),
                            device(to.view()),
                            device(position.view()),
                            c.dim,
                            kBase,
                            c.interleaved,
                            inverse};
    ASSERT_EQ(cuda::rotary(args, TestWork()), nullptr);
    device.fetch();
  };
  turn(x, y, false);
  const Array<4> want = copy_as(DType::f64, x.view());
  const std::vector<double> frequencies = rotary_frequencies(c.dim, kBase);
  const View<3> rows{want.view().data,
                     DType::f64,
                     {kLength, c.heads, c.head_dim},
                     {c.heads * c.head_dim, c.head_dim, 1}};
  ref::rotary<double>({rows, kFirst,
                       dense<1>(const_cast<double*>(frequencies.data()), DType::f64, {c.dim / 2}),
                       c.interleaved});
  EXPECT_LT(error_of(y.view(), want.view()), 2e-6);
  EXPECT_TRUE(y.gaps_untouched());
  if (c.type != DType::f32) return;
  turn(y, back, true);
  EXPECT_LT(error_of(back.view(), copy_as(DType::f64, x.view()).view()), 4e-6);
}

TEST(CudaRotary, MatchesReferenceAndTurnsBack) {
  ADDER_NEEDS_DEVICE();
  const DType types[] = {DType::f32, DType::bf16};
  const int64_t dims[][2] = {{64, 64}, {128, 64}, {64, 16}, {10, 6}, {7, 4}};
  const int64_t heads[] = {1, 4, 6}, gaps[] = {0, 8, 1};
  for (const auto& level : pairwise({2, 5, 3, 3, 2})) {
    const Case c{types[level[0]], dims[level[1]][0], dims[level[1]][1],
                 heads[level[2]], gaps[level[3]],    level[4] == 1};
    SCOPED_TRACE(::testing::Message()
                 << "type " << level[0] << " head_dim " << c.head_dim << " dim " << c.dim
                 << " heads " << c.heads << " gap " << c.gap << " interleaved " << c.interleaved);
    expect_turned(c);
  }
}

}  // namespace
}  // namespace adder::kernels
