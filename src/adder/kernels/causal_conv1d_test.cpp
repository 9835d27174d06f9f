#include "adder/kernels/causal_conv1d.h"

#include "adder/kernels/conv_cases.h"
#include "adder/kernels/ref/causal_conv1d.h"

namespace adder::kernels {
namespace {

using namespace testing;

TEST(CausalConv1d, HandComputedRow) {
  ConvArrays a({.batch = 1,
                .length = 4,
                .channels = 1,
                .width = 3,
                .x = DType::f64,
                .weight = DType::f64,
                .documents = kTwoDocuments,
                .silu = false});
  const double x[] = {1, 2, 3, 4}, weight[] = {100, 10, 1}, initial[] = {8, 9},
               ids[] = {5, 5, 5, 6};
  for (int i = 0; i < 4; ++i) set_at(a.x.view(), i, x[i]);
  for (int i = 0; i < 3; ++i) set_at(a.weight.view(), i, weight[i]);
  for (int i = 0; i < 2; ++i) set_at(a.initial.view(), i, initial[i]);
  for (int i = 0; i < 4; ++i) set_at(a.seq_idx.view(), i, ids[i]);
  set_at(a.bias.view(), 0, 0.5);
  causal_conv1d(a.inputs(), a.outputs(), Serial());
  const double want[] = {891.5, 912.5, 123.5, 4.5}, state[] = {0, 4};
  for (int i = 0; i < 4; ++i) EXPECT_DOUBLE_EQ(value_at(a.y.view(), i), want[i]);
  for (int i = 0; i < 2; ++i) EXPECT_DOUBLE_EQ(value_at(a.final_state.view(), i), state[i]);
}

/// 0, 1, 0 are three documents: each token sees only itself.
TEST(CausalConv1d, ReturningIdIsANewDocument) {
  ConvArrays a({.batch = 1,
                .length = 3,
                .channels = 1,
                .width = 4,
                .documents = kTwoDocuments,
                .initial = false,
                .silu = false});
  for (int i = 0; i < 3; ++i) set_at(a.seq_idx.view(), i, i % 2);
  causal_conv1d(a.inputs(), a.outputs(), Serial());
  for (int i = 0; i < 3; ++i)
    EXPECT_FLOAT_EQ(
        value_at(a.y.view(), i),
        value_at(a.bias.view(), 0) + value_at(a.weight.view(), 3) * value_at(a.x.view(), i));
}

TEST(CausalConv1d, GradientsMatchFiniteDifferences) {
  for (const Documents documents : kAllDocuments) {
    for (const int64_t length : {1, 2, 7}) {
      for (const bool silu : {false, true}) {
        SCOPED_TRACE(::testing::Message() << "documents " << documents << " length " << length);
        ConvArrays a({2, length, 2, 4, 1, DType::f64, DType::f64, documents, true, silu});
        causal_conv1d_backward(a.inputs(), a.gradients(), Serial());
        const auto loss = [&] {
          causal_conv1d(a.inputs(), a.outputs(), Serial());
          return dot(a.y.view(), a.grad_y.view()) +
                 dot(a.final_state.view(), a.grad_final_state.view());
        };
        expect_gradient(loss, a.x.view(), a.grad_x.view(), "x", 100);
        expect_gradient(loss, a.weight.view(), a.grad_weight.view(), "weight");
        expect_gradient(loss, a.bias.view(), a.grad_bias.view(), "bias");
        expect_gradient(loss, a.initial.view(), a.grad_initial.view(), "initial_state");
      }
    }
  }
}

std::vector<ConvCase> cases() {
  const int64_t lengths[] = {1, 2, 3, 16, 63, 64, 65, 130, 300};
  const int64_t channels[] = {1, 3, 16, 33, 130, 300}, widths[] = {4, 3, 2, 1, 5, 8};
  std::vector<ConvCase> cases;
  for (const auto& level : pairwise({9, 6, 6, 5, 2, 2, 2, 2}))
    cases.push_back({.batch = 1 + level[5],
                     .length = lengths[level[0]],
                     .channels = channels[level[1]],
                     .width = widths[level[2]],
                     .gap = 3 * level[7],
                     .x = level[4] == 0 ? DType::f32 : DType::bf16,
                     .documents = kAllDocuments[level[3]],
                     .initial = level[5] == 0,
                     .silu = level[6] == 0});
  EXPECT_LE(cases.size(), 70u);
  return cases;
}

void compare_with_reference(const ConvCase& c) {
  ConvArrays a(c);
  causal_conv1d(a.inputs(), a.outputs(), OddThreads(2));
  causal_conv1d_backward(a.inputs(), a.gradients(), OddThreads(2));
  Array<3> y = f64_like(a.y.view()), final_state = f64_like(a.final_state.view());
  Array<3> grad_x = f64_like(a.x.view()), grad_initial = f64_like(a.initial.view());
  Array<2> grad_weight = f64_like(a.weight.view());
  Array<1> grad_bias = f64_like(a.bias.view());
  ref::causal_conv1d<double>(a.inputs(), {y, final_state});
  ref::causal_conv1d_backward<double>(
      a.inputs(), {a.grad_y, a.grad_final_state, grad_x, grad_weight, grad_bias, grad_initial});
  EXPECT_LT(error_of(a.y.view(), y.view()), 1e-5);
  EXPECT_EQ(error_of(a.final_state.view(), final_state.view()), 0);
  EXPECT_LT(error_of(a.grad_x.view(), grad_x.view()), 1e-4);
  EXPECT_LT(error_of(a.grad_initial.view(), grad_initial.view()), 1e-4);
  EXPECT_LT(error_of(a.grad_weight.view(), grad_weight.view()), 1e-4);
  EXPECT_LT(error_of(a.grad_bias.view(), grad_bias.view()), 1e-4);
  EXPECT_TRUE(a.y.gaps_untouched() && a.grad_x.gaps_untouched());
}

TEST(CausalConv1d, EveryInstructionSetMatchesReference) {
  for (const ConvCase& c : cases()) {
    for (const Isa isa : isas()) {
      SCOPED_TRACE(::testing::Message()
                   << to_string(isa) << " length " << c.length << " channels " << c.channels
                   << " width " << c.width << " documents " << c.documents);
      const IsaScope scope(isa);
      compare_with_reference(c);
    }
  }
}

TEST(CausalConv1d, ThreadsDoNotChangeBits) {
  const ConvCase c{.batch = 2, .length = 700, .channels = 33, .documents = kPadded};
  ConvArrays one(c), many(c);
  causal_conv1d(one.inputs(), one.outputs(), Serial());
  causal_conv1d(many.inputs(), many.outputs(), OddThreads(3));
  causal_conv1d_backward(one.inputs(), one.gradients(), Serial());
  causal_conv1d_backward(many.inputs(), many.gradients(), OddThreads(3));
  EXPECT_TRUE(one.y.same_bytes(many.y) && one.final_state.same_bytes(many.final_state));
  EXPECT_TRUE(one.grad_x.same_bytes(many.grad_x) && one.grad_bias.same_bytes(many.grad_bias));
  EXPECT_TRUE(one.grad_weight.same_bytes(many.grad_weight));
}

}  // namespace
}  // namespace adder::kernels
