// swiglu against its formula with LibTorch's functions.
#include <gtest/gtest.h>

#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;

class SwigluOp : public OnEachDevice {};
ADDER_ON_EACH_DEVICE(SwigluOp);

std::vector<Tensor> plain_swiglu(const std::vector<Tensor>& in) {
  return {in[0] * in[1] * at::sigmoid(in[1])};
}

TEST_P(SwigluOp, EqualsItsFormula) {
  const auto swiglu = [](const std::vector<Tensor>& in) { return call("swiglu", {in[0], in[1]}); };
  for (const int64_t width : {1, 3, 8, 520}) {
    const std::vector<Tensor> inputs = {random_tensor({2, 5, width}, 1),
                                        4 * random_tensor({2, 5, width}, 2)};
    expect_equal(GetParam(), swiglu, plain_swiglu, inputs);
  }
}

/// As the MLP calls it: both are parts of the rows of one matrix, at odd places too.
TEST_P(SwigluOp, TakesPartsOfAMatrix) {
  for (const int64_t offset : {0, 1, 8}) {
    const auto parts = [offset](const std::vector<Tensor>& in) -> std::vector<Tensor> {
      return {in[0].narrow(-1, offset, 24), in[0].narrow(-1, offset + 24, 24)};
    };
    expect_equal(
        GetParam(),
        [&](const std::vector<Tensor>& in) {
          return call("swiglu", {parts(in)[0], parts(in)[1]});
        },
        [&](const std::vector<Tensor>& in) { return plain_swiglu(parts(in)); },
        {random_tensor({3, 4, 56}, 1)});
  }
}

TEST_P(SwigluOp, RefusesOtherShapes) {
  const Tensor up = here(at::zeros({2, 4}));
  EXPECT_THROW(call("swiglu", {up, here(at::zeros({2, 5}))}), c10::Error);
  EXPECT_THROW(call("swiglu", {up, here(at::zeros({2, 4}, at::kBFloat16))}), c10::Error);
}

}  // namespace
}  // namespace adder::ops
