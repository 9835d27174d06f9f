// slices against narrow(): values, and gradients wherever their places are.
#include "adder/ops/slices.h"

#include <gtest/gtest.h>

#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;

class SlicesOp : public OnEachDevice {};
ADDER_ON_EACH_DEVICE(SlicesOp);

/// A norm of the third part, gated by the first; the second only where `all`; the first once more.
std::vector<Tensor> mix(const std::vector<Tensor>& parts, const Tensor& weight, bool all) {
  const Tensor normed =
      call("gated_rms_norm", {parts[2], weight, parts[0], 1e-5, int64_t{4}, false})[0];
  const Tensor squared = parts[0].square();
  if (!all) return {normed, squared};
  return {normed, squared,
          call("rms_norm",
               {parts[1].flatten(2), weight.narrow(0, 0, 6), 1e-5, c10::IValue(), false})[0]};
}

TEST_P(SlicesOp, EqualNarrow) {
  for (const bool all : {true, false}) {
    expect_equal(
        GetParam(),
        [&](const std::vector<Tensor>& in) {
          return mix(slices(in[0], {{8}, {2, 3}, {8}}), in[1], all);
        },
        [&](const std::vector<Tensor>& in) {
          const auto part = [&](int64_t begin, int64_t width) {
            return in[0].narrow(-1, begin, width);
          };
          return mix({part(0, 8), part(8, 6).unflatten(-1, {2, 3}), part(14, 8)}, in[1], all);
        },
        {random_tensor({2, 5, 22}, 1), random_tensor({8}, 2)}, {1});
  }
}

TEST_P(SlicesOp, GradientsAreWrittenInPlaceOnADevice) {
  const Tensor whole = here(random_tensor({2, 5, 22}, 1, at::kFloat)).requires_grad_();
  const auto parts = slices(whole, {{8}, {14}});
  const Tensor first = empty_gradient(parts[0]), second = empty_gradient(parts[1]);
  const Tensor again = empty_gradient(parts[0]);
  EXPECT_EQ(first.sizes(), parts[0].sizes());
  EXPECT_EQ(first.storage().data() == second.storage().data(), !on_cpu());
  EXPECT_NE(first.storage().data(), again.storage().data()) << "two operators read one part";
}

TEST(SlicesOpErrors, WidthsMustAddUp) {
  EXPECT_THROW(slices(random_tensor({2, 5}, 1), {{2}, {4}}), c10::Error);
}

}  // namespace
}  // namespace adder::ops
