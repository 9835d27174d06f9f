#include "adder/kernels/test_selective_scan_cases.h"

namespace adder::kernels::testing {
namespace {

ScanGradArrays run_backward(const SelectiveScanInputs& in, ScanGradArrays grads,
                            const Parallel& parallel = Serial()) {
  selective_scan_backward(in, grads.gradients(), parallel);
  return grads;
}

ScanGradArrays oracle_backward(const SelectiveScanInputs& in_double, ScanGradArrays grads) {
  ref::selective_scan_backward<double>(in_double, grads.gradients());
  return grads;
}

TEST(SelectiveScanBackward, OracleAgreesWithFiniteDifferences) {
  for (const auto documents :
       {ScanDocuments::kNone, ScanDocuments::kPacked, ScanDocuments::kPadded}) {
    for (const bool softplus : {true, false}) {
      const ScanCase one = {.length = 36,
                            .groups = 2,
                            .group_channels = 3,
                            .width = 2,
                            .gate = true,
                            .softplus = softplus,
                            .documents = documents};
      const ScanArrays arrays = in_double(make_inputs(one));
      const SelectiveScanInputs in = arrays.inputs();
      const ScanGradArrays grads = oracle_backward(in, in_double(make_gradients(in, true)));
      const std::function<double()> loss = [&] {
        const ScanResult result = oracle(in);
        return dot(result.y.view(), grads.grad_y.view()) +
               dot(result.last_state.view(), grads.grad_last_state.view());
      };
      expect_gradient(loss, in.u, grads.u.view(), "u");
      expect_gradient(loss, in.delta, grads.delta.view(), "delta");
      expect_gradient(loss, in.A, grads.A.view(), "A");
      expect_gradient(loss, in.B, grads.B.view(), "B");
      expect_gradient(loss, in.C, grads.C.view(), "C");
      expect_gradient(loss, in.D, grads.D.view(), "D");
      expect_gradient(loss, in.z, grads.z.view(), "z");
      expect_gradient(loss, in.delta_bias, grads.delta_bias.view(), "delta_bias");
      expect_gradient(loss, in.initial_state, grads.initial_state.view(), "initial_state");
    }
  }
}

TEST(SelectiveScanBackward, AgreesWithTheOracle) {
  for (const ScanCase& one : scan_cases()) {
    const ScanArrays arrays = make_inputs(one), wide = in_double(arrays);
    const ScanGradArrays grads = make_gradients(arrays.inputs(), one.last);
    const ScanGradArrays want = oracle_backward(wide.inputs(), in_double(grads));
    for (const Isa isa : isas()) {
      SCOPED_TRACE(one.name() + " " + std::string(to_string(isa)));
      const IsaScope scope(isa);
      const ScanGradArrays got = run_backward(arrays.inputs(), grads);
      expect_near(got, want);
      EXPECT_TRUE(got.u.gaps_untouched() && got.delta.gaps_untouched() && got.B.gaps_untouched());
    }
  }
}

TEST(SelectiveScanBackward, EachOutputMayBeAskedForAlone) {
  const ScanArrays arrays = make_inputs({.length = 70, .gate = true});
  const ScanGradArrays blank = make_gradients(arrays.inputs(), true);
  const ScanGradArrays want = run_backward(arrays.inputs(), blank);
  const SelectiveScanGradients whole = blank.gradients();
  const auto alone = [&](auto SelectiveScanGradients::*which, auto ScanGradArrays::*array) {
    const ScanGradArrays got = blank;
    SelectiveScanGradients one;
    one.grad_y = whole.grad_y;
    one.grad_last_state = whole.grad_last_state;
    one.*which = (got.*array).view();
    selective_scan_backward(arrays.inputs(), one, Serial());
    EXPECT_TRUE((got.*array).same_bytes(want.*array));
  };
  alone(&SelectiveScanGradients::grad_u, &ScanGradArrays::u);
  alone(&SelectiveScanGradients::grad_delta, &ScanGradArrays::delta);
  alone(&SelectiveScanGradients::grad_A, &ScanGradArrays::A);
  alone(&SelectiveScanGradients::grad_B, &ScanGradArrays::B);
  alone(&SelectiveScanGradients::grad_C, &ScanGradArrays::C);
  alone(&SelectiveScanGradients::grad_D, &ScanGradArrays::D);
  alone(&SelectiveScanGradients::grad_z, &ScanGradArrays::z);
  alone(&SelectiveScanGradients::grad_delta_bias, &ScanGradArrays::delta_bias);
  alone(&SelectiveScanGradients::grad_initial_state, &ScanGradArrays::initial_state);
}

TEST(SelectiveScanBackward, PackedDocumentsAreSeparate) {
  const ScanArrays arrays = make_inputs({.batch = 1, .length = 80, .gate = true});
  const Array<2> seq_idx = packed_ids();
  SelectiveScanInputs in = arrays.inputs();
  in.seq_idx = seq_idx;
  const ScanGradArrays all = run_backward(in, make_gradients(in, true));
  Array<2> sum_A(DType::f64, arrays.A.view().size);
  sum_A.fill_with(0);
  for (int k = 0; k < 5; ++k) {
    SelectiveScanInputs alone = scan_tokens(in, kScanEnds[k], kScanEnds[k + 1]);
    if (k == 0) alone.initial_state = in.initial_state;
    const ScanGradArrays part = make_gradients(alone, false);
    SelectiveScanGradients views = part.gradients();
    views.grad_y = scan_tokens(all.grad_y.view(), kScanEnds[k], kScanEnds[k + 1]);
    if (k == 4) views.grad_last_state = all.grad_last_state;
    selective_scan_backward(alone, views, Serial());
    const auto expect_part = [&](const auto& whole, const auto& want, const char* name) {
      EXPECT_LE(error_of(scan_tokens(whole.view(), kScanEnds[k], kScanEnds[k + 1]), want.view()),
                1e-5)
          << name << k;
    };
    expect_part(all.u, part.u, "u");
    expect_part(all.delta, part.delta, "delta");
    expect_part(all.B, part.B, "B");
    expect_part(all.C, part.C, "C");
    expect_part(all.z, part.z, "z");
    if (k == 0) {
      EXPECT_LE(error_of(all.initial_state.view(), part.initial_state.view()), 1e-5);
    }
    for (int64_t i = 0; i < count_of(sum_A.view()); ++i)
      set_at(sum_A.view(), i, value_at(sum_A.view(), i) + value_at(part.A.view(), i));
  }
  EXPECT_LE(error_of(all.A.view(), sum_A.view()), 1e-5);
}

TEST(SelectiveScanBackward, PaddingGivesAndGetsNothing) {
  const ScanCase one = {
      .batch = 1, .length = 100, .gate = true, .documents = ScanDocuments::kPadded};
  const ScanArrays clean = make_inputs(one), dirty = make_inputs(one);
  ScanGradArrays grads = make_gradients(clean.inputs(), true), dirty_grads = grads;
  SelectiveScanInputs poisoned = dirty.inputs();
  poison_padding(poisoned);
  poisoned = {}, poisoned.u = dirty_grads.grad_y, poisoned.seq_idx = dirty.seq_idx;
  poison_padding(poisoned);
  grads = run_backward(clean.inputs(), grads);
  expect_same_bytes(grads, run_backward(dirty.inputs(), dirty_grads));
  EXPECT_EQ(value_at(grads.u.view(), 0), 0);  // token 0 is padding
  EXPECT_EQ(value_at(grads.delta.view(), 0), 0);
  EXPECT_EQ(value_at(grads.z.view(), 0), 0);
  EXPECT_EQ(value_at(grads.B.view(), 0), 0);
  EXPECT_EQ(value_at(grads.C.view(), 0), 0);
}

TEST(SelectiveScanBackward, NothingButPaddingPassesTheStatesGradient) {
  const ScanArrays arrays = make_inputs({.batch = 1, .length = 40});
  Array<2> seq_idx(DType::i32, {1, 40});
  seq_idx.fill_with(-1);
  SelectiveScanInputs in = arrays.inputs();
  in.seq_idx = seq_idx;
  const ScanGradArrays grads = run_backward(in, make_gradients(in, true));
  EXPECT_EQ(error_of(grads.initial_state.view(), grads.grad_last_state.view()), 0);
}

TEST(SelectiveScanBackward, NoRowsGiveNoGradient) {
  const ScanArrays arrays = make_inputs({.batch = 0});
  for (const Isa isa : isas()) {
    const IsaScope scope(isa);
    const ScanGradArrays grads =
        run_backward(arrays.inputs(), make_gradients(arrays.inputs(), true));
    for (int64_t i = 0; i < count_of(grads.A.view()); ++i)
      ASSERT_EQ(value_at(grads.A.view(), i), 0);
    for (int64_t i = 0; i < count_of(grads.D.view()); ++i) {
      ASSERT_EQ(value_at(grads.D.view(), i), 0);
      ASSERT_EQ(value_at(grads.delta_bias.view(), i), 0);
    }
  }
}

TEST(SelectiveScanBackward, ThreadsDoNotChangeAByte) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const ScanArrays arrays = make_inputs({.batch = 3,
                                           .length = 70,
                                           .groups = 2,
                                           .group_channels = 200,
                                           .dtype = dtype,
                                           .gate = true});
    const ScanGradArrays grads = make_gradients(arrays.inputs(), true);
    const ScanGradArrays one = run_backward(arrays.inputs(), grads);
    for (const int threads : {2, 3})
      expect_same_bytes(one, run_backward(arrays.inputs(), grads, OddThreads(threads)));
  }
}

TEST(SelectiveScanBackward, ExtremeSteps) {
  for (const ExtremeSteps& e : kExtremeSteps) {
    for (const bool softplus : {false, true}) {
      const ScanArrays arrays = make_extreme(e, softplus);
      const ScanArrays wide = in_double(arrays);
      const ScanGradArrays grads = make_gradients(arrays.inputs(), true);
      const ScanGradArrays want = oracle_backward(wide.inputs(), in_double(grads));
      for (const Isa isa : isas()) {
        SCOPED_TRACE(std::string(to_string(isa)) + " " + name(e));
        const IsaScope scope(isa);
        expect_near(run_backward(arrays.inputs(), grads), want);
      }
    }
  }
}

}  // namespace
}  // namespace adder::kernels::testing
