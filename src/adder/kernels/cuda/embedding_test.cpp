#include "adder/kernels/embedding.h"

#include <algorithm>
#include <numeric>

#include "adder/kernels/cuda/test_device.h"

namespace adder::kernels {
namespace {

using namespace testing;

constexpr int64_t kRows = 30;

/// Rows and the sums of their gradients against plain loops in double.
void expect_equal(DType type, const std::vector<int32_t>& tokens, int64_t width) {
  Rng rng(9);
  const auto count = static_cast<int64_t>(tokens.size());
  const Array<2> weight = Array<2>(DType::f32, {kRows, width}).fill(rng);
  const Array<2> y(type, {count, width}), grad_y = Array<2>(type, {count, width}).fill(rng);
  const Array<2> got(DType::f32, {kRows, width}), want(DType::f64, {kRows, width});
  const Array<2> want_y(DType::f64, {count, width});
  for (int64_t i = 0; i < kRows * width; ++i) set_at(want.view(), i, 0);

  std::vector<int64_t> places(tokens.size());
  std::iota(places.begin(), places.end(), 0);
  std::stable_sort(places.begin(), places.end(),
                   [&](int64_t a, int64_t b) { return tokens[size_t(a)] < tokens[size_t(b)]; });
  const Array<1> which(DType::i32, {count}), sorted(DType::i32, {count}),
      order(DType::i64, {count});
  for (int64_t t = 0; t < count; ++t) {
    const int64_t place = places[size_t(t)], token = tokens[size_t(t)];
    set_at(which.view(), t, double(token));
    set_at(sorted.view(), t, double(tokens[size_t(place)]));
    set_at(order.view(), t, double(place));
    for (int64_t j = 0; j < width; ++j) {
      const int64_t from = token * width + j, to = t * width + j;
      set_at(want_y.view(), to, value_at(weight.view(), from));
      set_at(want.view(), from, value_at(want.view(), from) + value_at(grad_y.view(), to));
    }
  }
  OnDevice device;
  const TestWork work;
  ASSERT_EQ(cuda::embedding({device(weight.view()), device(which.view()), device(y.view())}, work),
            nullptr);
  ASSERT_EQ(cuda::embedding_backward({device(grad_y.view()), device(sorted.view()),
                                      device(order.view()), device(got.view())},
                                     work),
            nullptr);
  device.fetch();
  EXPECT_LT(error_of(y.view(), want_y.view()), 1e-7);
  EXPECT_LT(error_of(got.view(), want.view()), 2e-6);
}

TEST(CudaEmbedding, MatchesPlainLoops) {
  ADDER_NEEDS_DEVICE();
  std::vector<int32_t> often(75, 0), mixed, every;
  often.insert(often.end(), 200, 6);
  for (int32_t i = 0; i < 300; ++i) mixed.push_back(i * i % 7 == 1 ? 3 : i * 11 % 30);
  for (int32_t i = 0; i < 30; ++i) every.push_back(29 - i);
  every.insert(every.end(), 34, 29);
  for (const DType type : {DType::f32, DType::bf16}) {
    for (const int64_t width : {1, 12, 770, 2048}) {
      for (const auto& tokens : {std::vector<int32_t>{3}, often, mixed, every}) {
        SCOPED_TRACE(::testing::Message() << width << " " << tokens.size());
        expect_equal(type, tokens, width);
      }
    }
  }
}

}  // namespace
}  // namespace adder::kernels
