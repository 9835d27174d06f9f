// rotary against the turns of its definition as complex numbers.
#include <gtest/gtest.h>

#include <cmath>

#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;

class RotaryOp : public OnEachDevice {};
ADDER_ON_EACH_DEVICE(RotaryOp);

constexpr double kBase = 10000;

/// x (batch, length, heads, head_dim): pair i of the first `dim` channels times
/// e^(i position base^(-2i/dim)).
Tensor plain_rotary(const Tensor& x, const Tensor& position, int64_t dim, bool interleaved) {
  std::vector<Tensor> columns = x.unbind(-1);
  for (int64_t i = 0; i < dim / 2; ++i) {
    const auto a = static_cast<size_t>(interleaved ? 2 * i : i);
    const auto b = static_cast<size_t>(interleaved ? 2 * i + 1 : i + dim / 2);
    const double frequency = std::pow(kBase, -2.0 * static_cast<double>(i) / double(dim));
    const Tensor angle = (position.to(at::kDouble) * frequency).unsqueeze(-1);
    const Tensor turned =
        at::complex(columns[a], columns[b]) * at::polar(at::ones_like(angle), angle);
    columns[a] = at::real(turned);
    columns[b] = at::imag(turned);
  }
  return at::stack(columns, -1);
}

TEST_P(RotaryOp, TurnsPairs) {
  struct Case {
    int64_t head_dim, dim;
    bool interleaved;
  };
  // Widths that go in vectors and such that do not; all channels turn, some, and none.
  for (const Case& c :
       {Case{64, 64, false}, Case{64, 32, false}, Case{64, 64, true}, Case{32, 8, true},
        Case{10, 6, false}, Case{7, 4, true}, Case{8, 0, false}}) {
    SCOPED_TRACE(::testing::Message() << c.head_dim << " " << c.dim << " " << c.interleaved);
    const Tensor position =
        at::tensor({0, 1, 2, 3, 70, 5000, 100000, 7, 7, 1}, at::kLong).view({2, 5});
    expect_equal(
        GetParam(),
        [&](const std::vector<Tensor>& in) {
          return call("rotary", {in[0], here(position), c.dim, kBase, c.interleaved});
        },
        [&](const std::vector<Tensor>& in) -> std::vector<Tensor> {
          return {plain_rotary(in[0], position, c.dim, c.interleaved)};
        },
        {random_tensor({2, 5, 3, c.head_dim}, 1)});
  }
}

/// As attention calls it: heads are parts of the rows of a matrix, positions those of every row.
TEST_P(RotaryOp, TakesPartsOfAMatrix) {
  const Tensor position = at::arange(6, at::kLong).unsqueeze(0);
  for (const int64_t offset : {0, 3, 16}) {
    const auto heads = [offset](const std::vector<Tensor>& in) {
      return in[0].narrow(-1, offset, 48).unflatten(-1, {3, 16});
    };
    expect_equal(
        GetParam(),
        [&](const std::vector<Tensor>& in) {
          return call("rotary", {heads(in), here(position), 16, kBase, false});
        },
        [&](const std::vector<Tensor>& in) -> std::vector<Tensor> {
          return {plain_rotary(heads(in), position, 16, false)};
        },
        {random_tensor({2, 6, 80}, 1)});
  }
}

TEST_P(RotaryOp, RefusesWhatDoesNotFit) {
  const Tensor x = here(at::zeros({2, 3, 1, 8})), position = here(at::zeros({1, 3}, at::kLong));
  EXPECT_THROW(call("rotary", {x, position, 3, kBase, false}), c10::Error);
  EXPECT_THROW(call("rotary", {x, position, 10, kBase, false}), c10::Error);
  EXPECT_THROW(call("rotary", {x, here(at::zeros({3, 3}, at::kLong)), 8, kBase, false}),
               c10::Error);
  EXPECT_THROW(call("rotary", {x, position.to(at::kInt), 8, kBase, false}), c10::Error);
}

}  // namespace
}  // namespace adder::ops
