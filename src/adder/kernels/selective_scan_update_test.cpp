#include "adder/kernels/test_selective_scan_cases.h"

namespace adder::kernels::testing {
namespace {

/// A (batch, length, ...) view at one token.
template <int Rank>
View<Rank - 1> scan_at(const View<Rank>& view, int64_t t) {
  View<Rank - 1> one{nullptr, view.dtype, {}, {}};
  if (!view.given()) return one;
  one.data = view.template as<char>() + t * view.stride[1] * size_of(view.dtype);
  one.size[0] = view.size[0], one.stride[0] = view.stride[0];
  for (int d = 1; d < Rank - 1; ++d)
    one.size[d] = view.size[d + 1], one.stride[d] = view.stride[d + 1];
  return one;
}

SelectiveScanUpdate update_of(const SelectiveScanInputs& in, const View<3>& state, const View<3>& y,
                              int64_t t) {
  SelectiveScanUpdate args;
  args.state = state;
  args.u = scan_at(in.u, t), args.delta = scan_at(in.delta, t);
  args.B = scan_at(in.B, t), args.C = scan_at(in.C, t);
  args.z = scan_at(in.z, t), args.y = scan_at(y, t);
  args.A = in.A, args.D = in.D, args.delta_bias = in.delta_bias;
  args.delta_softplus = in.delta_softplus;
  return args;
}

TEST(SelectiveScanUpdate, TokenByTokenIsTheForward) {
  for (ScanCase one : scan_cases()) {
    one.documents = ScanDocuments::kNone;
    one.initial = true;
    const ScanArrays arrays = make_inputs(one), wide = in_double(arrays);
    const ScanResult want = oracle(wide.inputs());
    for (const Isa isa : isas()) {
      SCOPED_TRACE(one.name() + " " + std::string(to_string(isa)));
      const IsaScope scope(isa);
      const ScanResult got = make_result(arrays.inputs());
      const Array<3> state = copy_as(DType::f32, arrays.initial_state.view());
      for (int64_t t = 0; t < one.length; ++t)
        selective_scan_update(update_of(arrays.inputs(), state, got.y, t), Serial());
      EXPECT_LE(error_of(got.y.view(), want.y.view()), 1e-5);
      EXPECT_LE(error_of(state.view(), want.last_state.view()), 1e-5);
    }
    const ScanResult exact = make_result(wide.inputs(), DType::f64);  // and the oracle's own step
    const Array<3> state = wide.initial_state;
    for (int64_t t = 0; t < one.length; ++t)
      selective_scan_update(update_of(wide.inputs(), state, exact.y, t), Serial());
    EXPECT_LE(error_of(exact.y.view(), want.y.view()), 1e-13);
  }
}

TEST(SelectiveScanUpdate, ThreadsDoNotChangeAByte) {
  const ScanArrays arrays =
      make_inputs({.batch = 3, .length = 1, .groups = 3, .group_channels = 37, .gate = true});
  for (const Isa isa : isas()) {
    const IsaScope scope(isa);
    const ScanResult a = make_result(arrays.inputs()), b = make_result(arrays.inputs());
    const Array<3> state_a = arrays.initial_state, state_b = arrays.initial_state;
    selective_scan_update(update_of(arrays.inputs(), state_a, a.y, 0), Serial());
    selective_scan_update(update_of(arrays.inputs(), state_b, b.y, 0), OddThreads(3));
    EXPECT_TRUE(a.y.same_bytes(b.y));
    EXPECT_TRUE(state_a.same_bytes(state_b));
  }
}

TEST(SelectiveScanUpdate, SlotsAreChosenAndSkipped) {
  const ScanArrays arrays =
      make_inputs({.batch = 3, .length = 1, .groups = 2, .group_channels = 20, .initial = false});
  Rng rng(5);
  const Array<3> before = Array<3>(DType::f32, {4, 40, 16}).fill(rng);
  Array<1> slots(DType::i32, {3});
  const int chosen[] = {2, -1, 0};
  for (int i = 0; i < 3; ++i) set_at(slots.view(), i, chosen[i]);
  const ScanResult got = make_result(arrays.inputs());
  const Array<3> state = before;
  SelectiveScanUpdate args = update_of(arrays.inputs(), state, got.y, 0);
  args.state_indices = slots;
  selective_scan_update(args, Serial());

  constexpr int64_t kSlot = 40 * 16, kRow = 40;
  Array<3> picked(DType::f32, {3, 40, 16});  // the states as a batch of their own
  for (int b = 0; b < 3; ++b)
    for (int64_t i = 0; i < kSlot; ++i)
      set_at(picked.view(), b * kSlot + i,
             value_at(before.view(), std::max(chosen[b], 0) * kSlot + i));
  const ScanResult want = make_result(arrays.inputs());
  selective_scan_update(update_of(arrays.inputs(), picked, want.y, 0), Serial());
  for (int b = 0; b < 3; ++b) {
    for (int64_t i = 0; i < kRow; ++i)
      EXPECT_EQ(value_at(got.y.view(), b * kRow + i),
                b == 1 ? 0 : value_at(want.y.view(), b * kRow + i));
    for (int64_t i = 0; i < kSlot && b != 1; ++i)
      EXPECT_EQ(value_at(state.view(), chosen[b] * kSlot + i),
                value_at(picked.view(), b * kSlot + i));
  }
  for (const int64_t other : {1, 3})
    for (int64_t i = 0; i < kSlot; ++i)
      EXPECT_EQ(value_at(state.view(), other * kSlot + i),
                value_at(before.view(), other * kSlot + i));
}

}  // namespace
}  // namespace adder::kernels::testing
