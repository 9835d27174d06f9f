#include "adder/kernels/test_ssd_cases.h"

namespace adder::kernels::testing {
namespace {

TEST(SsdUpdate, TokenByTokenIsTheForward) {
  for (SsdCase one : ssd_cases()) {
    one.documents = Documents::kNone;
    one.initial = true;
    const SsdArrays arrays = make_inputs(one);
    const SsdResult want = oracle(in_double(arrays).inputs());
    for (const Isa isa : machine_isas()) {
      SCOPED_TRACE(one.name() + " " + std::string(to_string(isa)));
      const IsaScope scope(isa);
      const SsdResult got = make_result(arrays.inputs());
      const Array<4> state = copy_as(DType::f32, arrays.initial_state.view());
      for (int64_t t = 0; t < one.length; ++t)
        ssd_update(update_of(arrays.inputs(), state, got.y, t), Serial());
      EXPECT_LE(error_of(got.y.view(), want.y.view()), 1e-5);
      EXPECT_LE(error_of(state.view(), want.final_state.view()), 1e-5);
    }
  }
}

TEST(SsdUpdate, OddSizesAndThreads) {
  const SsdCase one = {.batch = 3,
                       .length = 1,
                       .groups = 3,
                       .heads_a_group = 5,
                       .head_dim = 5,
                       .width = 3,
                       .gate = true};
  const SsdArrays arrays = make_inputs(one);
  const SsdResult want = oracle(in_double(arrays).inputs());
  for (const Isa isa : machine_isas()) {
    const IsaScope scope(isa);
    const SsdResult a = make_result(arrays.inputs()), b = make_result(arrays.inputs());
    const Array<4> state_a = copy_as(DType::f32, arrays.initial_state.view()), state_b = state_a;
    ssd_update(update_of(arrays.inputs(), state_a, a.y, 0), Serial());
    ssd_update(update_of(arrays.inputs(), state_b, b.y, 0), OddThreads(3));
    EXPECT_LE(error_of(a.y.view(), want.y.view()), 1e-5);
    EXPECT_TRUE(a.y.same_bytes(b.y));
    EXPECT_TRUE(state_a.same_bytes(state_b));
  }
}

TEST(SsdUpdate, SlotsAreChosenAndSkipped) {
  const SsdArrays arrays = make_inputs({.batch = 3, .length = 1, .initial = false});
  const std::array<int64_t, 4> pool = {4, 2, 32, 16};
  Rng rng(5);
  const Array<4> before = Array<4>(DType::f32, pool).fill(rng);
  Array<1> slots(DType::i32, {3});
  const int chosen[] = {2, -1, 0};
  for (int i = 0; i < 3; ++i) set_at(slots.view(), i, chosen[i]);
  const SsdResult got = make_result(arrays.inputs());
  const Array<4> state = before;
  SsdUpdate args = update_of(arrays.inputs(), state, got.y, 0);
  args.state_indices = slots;
  ssd_update(args, Serial());

  const int64_t slot = count_of(before.view()) / 4, row = count_of(got.y.view()) / 3;
  Array<4> picked(DType::f32, {3, 2, 32, 16});  // the states as a batch of their own
  for (int b = 0; b < 3; ++b)
    for (int64_t i = 0; i < slot; ++i)
      set_at(picked.view(), b * slot + i,
             value_at(before.view(), std::max(chosen[b], 0) * slot + i));
  const SsdResult want = make_result(arrays.inputs());
  ssd_update(update_of(arrays.inputs(), picked, want.y, 0), Serial());
  for (int b = 0; b < 3; ++b) {
    for (int64_t i = 0; i < row; ++i)
      EXPECT_EQ(value_at(got.y.view(), b * row + i),
                b == 1 ? 0 : value_at(want.y.view(), b * row + i));
    for (int64_t i = 0; i < slot && b != 1; ++i)
      EXPECT_EQ(value_at(state.view(), chosen[b] * slot + i),
                value_at(picked.view(), b * slot + i));
  }
  for (const int64_t other : {1, 3})
    for (int64_t i = 0; i < slot; ++i)
      EXPECT_EQ(value_at(state.view(), other * slot + i),
                value_at(before.view(), other * slot + i));
}

}  // namespace
}  // namespace adder::kernels::testing
