// One token at a time on the device: ssd_update and causal_conv1d_update.
#include "adder/kernels/cuda/test_device.h"
#include "adder/kernels/ref/causal_conv1d.h"
#include "adder/kernels/test_ssd_cases.h"

namespace adder::kernels::testing {
namespace {

/// Changes args' host arrays as the device would.
void update(const SsdUpdate& args) {
  OnDevice device;
  SsdUpdate on = args;
  on.state = device(args.state), on.x = device(args.x), on.dt = device(args.dt);
  on.A = device(args.A), on.B = device(args.B), on.C = device(args.C), on.D = device(args.D);
  on.z = device(args.z), on.dt_bias = device(args.dt_bias);
  on.state_indices = device(args.state_indices), on.y = device(args.y);
  EXPECT_EQ(cuda::ssd_update(on, TestWork()), nullptr);
  device.fetch();
}
void update(const Conv1dUpdate& args) {
  OnDevice device;
  Conv1dUpdate on = args;
  on.state = device(args.state), on.x = device(args.x), on.weight = device(args.weight);
  on.bias = device(args.bias), on.state_indices = device(args.state_indices);
  on.y = device(args.y);
  EXPECT_EQ(cuda::causal_conv1d_update(on, TestWork()), nullptr);
  device.fetch();
}

Array<1> slots_of(const std::vector<int>& chosen) {
  Array<1> slots(DType::i32, {std::ssize(chosen)});
  for (int64_t i = 0; i < std::ssize(chosen); ++i) set_at(slots.view(), i, chosen[i]);
  return slots;
}

/// Bytes of slot `slot` of an array of states.
template <int Rank>
std::vector<double> slot_values(const Array<Rank>& states, int64_t slot) {
  const int64_t count = count_of(states.view()) / states.view().size[0];
  std::vector<double> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(value_at(states.view(), slot * count + i));
  return values;
}

TEST(CudaSsdUpdate, TokenByTokenIsTheForward) {
  ADDER_NEEDS_DEVICE();
  for (SsdCase one : ssd_cases()) {
    SCOPED_TRACE(one.name());
    one.documents = Documents::kNone;
    one.initial = true;
    one.length = std::min<int64_t>(one.length, 9);
    const SsdArrays arrays = make_inputs(one);
    const SsdResult want = oracle(in_double(arrays).inputs());
    const SsdResult got = make_result(arrays.inputs());
    const Array<4> state = copy_as(DType::f32, arrays.initial_state.view());
    for (int64_t t = 0; t < one.length; ++t) update(update_of(arrays.inputs(), state, got.y, t));
    EXPECT_LE(error_of(got.y.view(), want.y.view()), 1e-5);
    EXPECT_LE(error_of(state.view(), want.final_state.view()), 1e-5);
  }
}

TEST(CudaSsdUpdate, TakesOddSizes) {
  ADDER_NEEDS_DEVICE();
  for (const auto& [head_dim, width] :
       {std::pair<int64_t, int64_t>{5, 3}, {300, 7}, {70, 33}, {9, 200}, {2, 1024}}) {
    const SsdArrays arrays = make_inputs({.batch = 3,
                                          .length = 1,
                                          .groups = 3,
                                          .heads_a_group = 5,
                                          .head_dim = head_dim,
                                          .width = width,
                                          .skip = SkipKind::kChannel,
                                          .gate = true,
                                          .gap = 1});
    const SsdResult want = oracle(in_double(arrays).inputs());
    const SsdResult a = make_result(arrays.inputs()), b = make_result(arrays.inputs());
    const Array<4> state_a = copy_as(DType::f32, arrays.initial_state.view()), state_b = state_a;
    update(update_of(arrays.inputs(), state_a, a.y, 0));
    update(update_of(arrays.inputs(), state_b, b.y, 0));
    EXPECT_LE(error_of(a.y.view(), want.y.view()), 1e-5) << width;
    EXPECT_LE(error_of(state_a.view(), want.final_state.view()), 1e-5) << width;
    EXPECT_TRUE(a.y.same_bytes(b.y));
    EXPECT_TRUE(state_a.same_bytes(state_b));
  }
}

TEST(CudaSsdUpdate, SlotsAreChosenAndSkipped) {
  ADDER_NEEDS_DEVICE();
  const std::vector<int> chosen = {2, -1, 0};
  const SsdArrays arrays = make_inputs({.batch = 3, .length = 1, .initial = false});
  Rng rng(5);
  const Array<4> before = Array<4>(DType::f32, {4, 2, 32, 16}).fill(rng), state = before;
  const SsdResult got = make_result(arrays.inputs());
  SsdUpdate args = update_of(arrays.inputs(), state, got.y, 0);
  const Array<1> slots = slots_of(chosen);
  args.state_indices = slots;
  update(args);

  const SsdArrays wide = in_double(arrays);
  const Array<4> want_state = copy_as(DType::f64, before.view());
  const SsdResult want = make_result(wide.inputs(), DType::f64);
  args = update_of(wide.inputs(), want_state, want.y, 0);
  args.state_indices = slots;
  ref::ssd_update<double>(args);
  EXPECT_LE(error_of(got.y.view(), want.y.view()), 1e-5);
  EXPECT_LE(error_of(state.view(), want_state.view()), 1e-5);
  for (const int64_t other : {1, 3})
    EXPECT_EQ(slot_values(state, other), slot_values(before, other));
  const int64_t row = count_of(got.y.view()) / 3;
  for (int64_t i = 0; i < row; ++i) EXPECT_EQ(value_at(got.y.view(), row + i), 0);
}

TEST(CudaConv1dUpdate, AgreesWithTheOracleAndShiftsItsSlots) {
  ADDER_NEEDS_DEVICE();
  const std::vector<int> chosen = {3, -1, 0};
  const Array<1> slots = slots_of(chosen);
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const int64_t width : {1, 2, 4, 8}) {
      for (const bool silu : {false, true}) {
        Rng rng(7);
        constexpr int64_t kChannels = 301;
        const Array<2> x = Array<2>(dtype, {3, kChannels}, 3).fill(rng),
                       y(dtype, {3, kChannels}, 5);
        const Array<3> before = Array<3>(dtype, {4, width - 1, kChannels}, 1).fill(rng);
        const Array<3> state = before;
        const Array<2> weight = Array<2>(DType::f32, {kChannels, width}).fill(rng);
        const Array<1> bias = Array<1>(DType::f32, {kChannels}).fill(rng);
        const View<3> given = width > 1 ? state.view() : View<3>{};  // else there is none
        update(Conv1dUpdate{given, x, weight, bias, slots, y, silu});

        const auto want_state = copy_as(DType::f64, before.view());
        const Array<2> want = f64_like(x.view());
        const auto wide_x = copy_as(DType::f64, x.view());
        ref::causal_conv1d_update<double>({want_state, wide_x, weight, bias, slots, want, silu});
        EXPECT_LE(error_of(y.view(), want.view()), 1e-6) << width;
        EXPECT_EQ(error_of(state.view(), want_state.view()), 0) << width;
        EXPECT_TRUE(y.gaps_untouched());
        for (const int64_t other : {1, 2})
          EXPECT_EQ(slot_values(state, other), slot_values(before, other));
        for (int64_t c = 0; c < kChannels; ++c) EXPECT_EQ(value_at(y.view(), kChannels + c), 0);
      }
    }
  }
}

}  // namespace
}  // namespace adder::kernels::testing
