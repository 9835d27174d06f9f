// The causal convolution on the device against the plain loops in double.
#include "adder/kernels/ref/causal_conv1d.h"
#include "adder/kernels/conv_cases.h"
#include "adder/kernels/cuda/test_device.h"

namespace adder::kernels {
namespace {

using namespace testing;

/// A convolution of width 1 has no states.
View<3> if_any(const View<3>& view) {
  return view.size[1] > 0 ? view : View<3>{};
}

/// Runs forward and backward of the arrays' call; views that were not given stay so.
void run_on_device(const Conv1dInputs& inputs, const Conv1dOutputs& outputs,
                   const Conv1dGradients& gradients) {
  OnDevice on;
  const TestWork work;
  const Conv1dInputs in{on(inputs.x),       on(inputs.weight),
                        on(inputs.bias),    on(if_any(inputs.initial_state)),
                        on(inputs.seq_idx), inputs.silu};
  EXPECT_STREQ(cuda::causal_conv1d(in, {on(outputs.y), on(if_any(outputs.final_state))}, work),
               nullptr);
  const Conv1dGradients grads{on(gradients.grad_y),    on(if_any(gradients.grad_final_state)),
                              on(gradients.grad_x),    on(gradients.grad_weight),
                              on(gradients.grad_bias), on(if_any(gradients.grad_initial_state))};
  EXPECT_STREQ(cuda::causal_conv1d_backward(in, grads, work), nullptr);
  on.fetch();
}

void compare_with_reference(const ConvCase& c) {
  SCOPED_TRACE(::testing::Message()
               << "batch " << c.batch << " length " << c.length << " channels " << c.channels
               << " width " << c.width << " gap " << c.gap << " " << to_string(c.x) << " documents "
               << c.documents << " initial " << c.initial << " silu " << c.silu);
  ConvArrays a(c);
  run_on_device(a.inputs(), a.outputs(), a.gradients());
  Array<3> y = f64_like(a.y.view()), final_state = f64_like(a.final_state.view());
  Array<3> grad_x = f64_like(a.x.view()), grad_initial = f64_like(a.initial.view());
  Array<2> grad_weight = f64_like(a.weight.view());
  Array<1> grad_bias = f64_like(a.bias.view());
  ref::causal_conv1d<double>(a.inputs(), {y, final_state});
  ref::causal_conv1d_backward<double>(
      a.inputs(), {a.grad_y, a.grad_final_state, grad_x, grad_weight, grad_bias, grad_initial});
  EXPECT_LT(error_of(a.y.view(), y.view()), 1e-5);
  EXPECT_EQ(error_of(a.final_state.view(), final_state.view()), 0);
  EXPECT_LT(error_of(a.grad_x.view(), grad_x.view()), 1e-5);
  EXPECT_LT(error_of(a.grad_initial.view(), grad_initial.view()), 1e-5);
  EXPECT_LT(error_of(a.grad_weight.view(), grad_weight.view()), 1e-5);
  EXPECT_LT(error_of(a.grad_bias.view(), grad_bias.view()), 1e-5);
  EXPECT_TRUE(a.y.gaps_untouched() && a.grad_x.gaps_untouched());
}

TEST(CudaCausalConv1d, MatchesReference) {
  ADDER_NEEDS_DEVICE();
  const int64_t lengths[] = {1, 2, 3, 31, 32, 33, 130, 300};
  const int64_t channels[] = {1, 3, 16, 33, 136, 320}, widths[] = {4, 3, 2, 1, 5, 8};
  for (const auto& level : pairwise({8, 6, 6, 5, 2, 2, 2, 3}))
    compare_with_reference({.batch = 1 + level[5],
                            .length = lengths[level[0]],
                            .channels = channels[level[1]],
                            .width = widths[level[2]],
                            .gap = 8 * level[7] - level[7] / 2,  // 15: nothing is aligned
                            .x = level[4] == 0 ? DType::f32 : DType::bf16,
                            .documents = kAllDocuments[level[3]],
                            .initial = level[5] == 0,
                            .silu = level[6] == 0});
}

/// What a model calls: many strips, channels in vectors, with and without ids.
TEST(CudaCausalConv1d, MatchesReferenceInWholeVectors) {
  ADDER_NEEDS_DEVICE();
  for (const Documents documents : kAllDocuments)
    for (const DType dtype : {DType::f32, DType::bf16})
      for (const int64_t width : {2, 3, 4})
        compare_with_reference({.batch = 2,
                                .length = 333,
                                .channels = 264,
                                .width = width,
                                .gap = 8,
                                .x = dtype,
                                .documents = documents,
                                .silu = width != 3});
}

/// Strips of the longest kind, so that nothing depends on how rows of the batch are cut.
TEST(CudaCausalConv1d, MatchesReferenceInLongStrips) {
  ADDER_NEEDS_DEVICE();
  compare_with_reference({.batch = 300, .length = 260, .channels = 8, .gap = 8, .x = DType::bf16});
}

TEST(CudaCausalConv1d, GradientsThatNobodyWantsAreLeftOut) {
  ADDER_NEEDS_DEVICE();
  const ConvCase c{.batch = 2, .length = 70, .channels = 136, .documents = kTwoDocuments};
  ConvArrays all(c), some(c);
  run_on_device(all.inputs(), all.outputs(), all.gradients());
  for (int wanted = 0; wanted < 4; ++wanted) {
    Conv1dGradients grads{.grad_y = some.grad_y, .grad_final_state = some.grad_final_state};
    if (wanted == 0) grads.grad_x = some.grad_x;
    if (wanted == 1) grads.grad_weight = some.grad_weight;
    if (wanted == 2) grads.grad_bias = some.grad_bias;
    if (wanted == 3) grads.grad_initial_state = some.grad_initial;
    run_on_device(some.inputs(), {.y = some.y}, grads);
  }
  EXPECT_TRUE(some.y.same_bytes(all.y));
  EXPECT_TRUE(some.grad_x.same_bytes(all.grad_x) && some.grad_bias.same_bytes(all.grad_bias));
  EXPECT_TRUE(some.grad_weight.same_bytes(all.grad_weight));
  EXPECT_TRUE(some.grad_initial.same_bytes(all.grad_initial));
}

/// A value that is not a number stays in its channel, and in its document.
TEST(CudaCausalConv1d, NanStaysInItsDocument) {
  ADDER_NEEDS_DEVICE();
  ConvArrays a({.length = 40, .channels = 16, .documents = kTwoDocuments});
  set_at(a.x.view(), 19 * 16 + 5, std::nan(""));  // the first document's last token
  run_on_device(a.inputs(), a.outputs(), a.gradients());
  for (int64_t i = 0; i < 40 * 16; ++i) {
    EXPECT_EQ(std::isnan(value_at(a.y.view(), i)), i == 19 * 16 + 5) << i;
    const int64_t t = i / 16;
    EXPECT_EQ(std::isnan(value_at(a.grad_x.view(), i)), i % 16 == 5 && t >= 16 && t < 20) << i;
  }
}

/// What lies in padding counts for nothing.
TEST(CudaCausalConv1d, NanInPaddingIsNotSeen) {
  ADDER_NEEDS_DEVICE();
  const ConvCase c{.length = 50, .channels = 16, .documents = kPadded};
  ConvArrays clean(c), dirty(c);
  for (int64_t i = 0; i < 50 * 16; ++i) {
    if (value_at(clean.seq_idx.view(), i / 16) >= 0) continue;
    set_at(dirty.x.view(), i, std::nan(""));
    set_at(dirty.grad_y.view(), i, std::nan(""));
  }
  run_on_device(clean.inputs(), clean.outputs(), clean.gradients());
  run_on_device(dirty.inputs(), dirty.outputs(), dirty.gradients());
  EXPECT_TRUE(clean.y.same_bytes(dirty.y) && clean.final_state.same_bytes(dirty.final_state));
  EXPECT_TRUE(clean.grad_x.same_bytes(dirty.grad_x));
  EXPECT_TRUE(clean.grad_weight.same_bytes(dirty.grad_weight));
  EXPECT_TRUE(clean.grad_bias.same_bytes(dirty.grad_bias));
}

TEST(CudaCausalConv1d, RepeatsBitForBit) {
  ADDER_NEEDS_DEVICE();
  const ConvCase c{
      .batch = 2, .length = 700, .channels = 136, .x = DType::bf16, .documents = kPadded};
  ConvArrays once(c), again(c);
  run_on_device(once.inputs(), once.outputs(), once.gradients());
  run_on_device(again.inputs(), again.outputs(), again.gradients());
  EXPECT_TRUE(once.y.same_bytes(again.y) && once.final_state.same_bytes(again.final_state));
  EXPECT_TRUE(once.grad_x.same_bytes(again.grad_x) && once.grad_bias.same_bytes(again.grad_bias));
  EXPECT_TRUE(once.grad_weight.same_bytes(again.grad_weight));
}

}  // namespace
}  // namespace adder::kernels
