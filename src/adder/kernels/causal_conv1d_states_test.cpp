// What must hold between calls of the causal convolution: packed documents, carried states, single
// tokens.
#include "adder/kernels/conv_cases.h"

namespace adder::kernels {
namespace {

using namespace testing;

/// Inputs of tokens [begin, begin + length) alone, without ids.
Conv1dInputs part_of(const ConvArrays& a, int64_t begin, int64_t length) {
  Conv1dInputs in = a.inputs();
  in.x = slice(in.x, begin, length);
  in.initial_state = {};
  in.seq_idx = {};
  return in;
}

TEST(CausalConv1d, PackedDocumentsEqualSeparateOnes) {
  const int64_t lengths[] = {1, 2, 70, 17};
  ConvArrays packed({.length = 90, .channels = 33, .documents = kTwoDocuments, .initial = false});
  int64_t t = 0;
  for (int d = 0; d < 4; ++d)
    for (int64_t i = 0; i < lengths[d]; ++i) set_at(packed.seq_idx.view(), t++, d % 2);
  ConvArrays separate = packed;
  packed.grad_final_state = separate.grad_final_state = {};
  causal_conv1d(packed.inputs(), packed.outputs(), Serial());
  causal_conv1d_backward(packed.inputs(), packed.gradients(), Serial());

  Array<2> weight_sum(DType::f64, {33, 4});
  weight_sum.fill_with(0);
  int64_t begin = 0;
  for (const int64_t length : lengths) {
    const Conv1dInputs in = part_of(separate, begin, length);
    causal_conv1d(in, {slice(separate.y, begin, length), separate.final_state}, Serial());
    Conv1dGradients grads = separate.gradients();
    grads.grad_y = slice(grads.grad_y, begin, length);
    grads.grad_x = slice(grads.grad_x, begin, length);
    causal_conv1d_backward(in, grads, Serial());
    for (int64_t i = 0; i < 33 * 4; ++i)
      set_at(weight_sum.view(), i,
             value_at(weight_sum.view(), i) + value_at(separate.grad_weight.view(), i));
    begin += length;
  }
  EXPECT_LT(error_of(packed.y.view(), separate.y.view()), 1e-6);
  EXPECT_EQ(error_of(packed.final_state.view(), separate.final_state.view()), 0);
  EXPECT_LT(error_of(packed.grad_x.view(), separate.grad_x.view()), 1e-6);
  EXPECT_LT(error_of(packed.grad_weight.view(), weight_sum.view()), 1e-5);
}

TEST(CausalConv1d, ContinuesFromAState) {
  for (const int64_t split : {1, 2, 3, 40, 99}) {
    ConvArrays whole({.batch = 2, .length = 100, .channels = 17});
    ConvArrays parts = whole;
    causal_conv1d(whole.inputs(), whole.outputs(), Serial());
    Conv1dInputs in = part_of(parts, 0, split);
    in.initial_state = parts.initial;
    Array<3> between = parts.final_state;
    causal_conv1d(in, {slice(parts.y, 0, split), between}, Serial());
    in = part_of(parts, split, 100 - split);
    in.initial_state = between;
    causal_conv1d(in, {slice(parts.y, split, 100 - split), parts.final_state}, Serial());
    EXPECT_LT(error_of(parts.y.view(), whole.y.view()), 1e-6) << split;
    EXPECT_TRUE(parts.final_state.same_bytes(whole.final_state)) << split;
  }
}

TEST(CausalConv1d, UpdateByUpdateEqualsForward) {
  for (const Isa isa : isas()) {
    for (const DType dtype : {DType::f32, DType::bf16, DType::f64}) {
      for (const int64_t width : {1, 2, 3, 4, 8}) {
        const IsaScope scope(isa);
        ConvArrays a({2, 9, 37, width, 3, dtype, dtype == DType::f64 ? DType::f64 : DType::f32});
        causal_conv1d(a.inputs(), a.outputs(), Serial());
        Array<3> state = a.initial, y = a.grad_x;
        for (int64_t t = 0; t < 9; ++t) {
          const auto token = [&](const View<3>& view) {
            return View<2>{
                slice(view, t, 1).data, dtype, {2, 37}, {view.stride[0], view.stride[2]}};
          };
          causal_conv1d_update({.state = state,
                                .x = token(a.x),
                                .weight = a.weight,
                                .bias = a.bias,
                                .y = token(y),
                                .silu = true},
                               Serial());
        }
        EXPECT_LT(error_of(y.view(), a.y.view()), 1e-6) << to_string(isa) << " width " << width;
        EXPECT_EQ(error_of(state.view(), a.final_state.view()), 0);
        EXPECT_TRUE(y.gaps_untouched());
      }
    }
  }
}

TEST(CausalConv1d, UpdateUsesTheSlotsItIsGiven) {
  for (const DType dtype : {DType::f32, DType::f64}) {
    const DType weight_dtype = dtype == DType::f64 ? DType::f64 : DType::f32;
    ConvArrays a({4, 1, 19, 4, 0, dtype, weight_dtype});
    Array<1> slots(DType::i32, {3});
    const int slot_of[] = {3, -1, 0};
    for (int b = 0; b < 3; ++b) set_at(slots.view(), b, slot_of[b]);
    Array<3> state = a.initial;
    Rng rng(1);
    Array<2> x(dtype, {3, 19}), y(dtype, {3, 19});
    x.fill(rng);
    causal_conv1d_update({.state = state,
                          .x = x,
                          .weight = a.weight,
                          .bias = a.bias,
                          .state_indices = slots,
                          .y = y,
                          .silu = true},
                         OddThreads(2));
    for (int64_t c = 0; c < 19; ++c) {
      EXPECT_EQ(value_at(y.view(), 19 + c), 0);
      for (int slot = 0; slot < 4; ++slot) {
        const int64_t last = (slot * 3 + 2) * 19 + c, row = slot == 3 ? 0 : 2;
        const bool used = slot == 3 || slot == 0;
        EXPECT_EQ(value_at(state.view(), last),
                  used ? value_at(x.view(), row * 19 + c) : value_at(a.initial.view(), last));
      }
    }
  }
}

}  // namespace
}  // namespace adder::kernels
