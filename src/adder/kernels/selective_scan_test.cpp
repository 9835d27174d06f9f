#include "adder/kernels/test_selective_scan_cases.h"

namespace adder::kernels::testing {
namespace {

constexpr double kForward = 1e-5;

TEST(SelectiveScan, TwoTokensByHand) {
  // One channel, two states; A = -ln 2 and -ln 4 with Delta = 1: the states become a half and a
  // quarter at each token.
  float u[] = {3, 5}, delta[] = {1, 1}, A[] = {-0.69314718f, -1.38629436f};
  float B[] = {2, 1, 1, 2}, C[] = {1, 10, 1, 1}, D[] = {4};
  float initial[] = {8, 4}, y[2], last[2];
  SelectiveScanInputs in;
  in.u = dense<3>(u, DType::f32, {1, 2, 1});
  in.delta = dense<3>(delta, DType::f32, {1, 2, 1});
  in.A = dense<2>(A, DType::f32, {1, 2});
  in.B = dense<4>(B, DType::f32, {1, 2, 1, 2});
  in.C = dense<4>(C, DType::f32, {1, 2, 1, 2});
  in.D = dense<1>(D, DType::f32, {1});
  in.initial_state = dense<3>(initial, DType::f32, {1, 1, 2});
  in.delta_softplus = false;
  selective_scan(in, {dense<3>(y, DType::f32, {1, 2, 1}), dense<3>(last, DType::f32, {1, 1, 2})},
                 Serial());
  // States: (8/2 + 3*2, 4/4 + 3*1) = (10, 4), then (10/2 + 5*1, 4/4 + 5*2) = (10, 11).
  EXPECT_NEAR(y[0], 10 * 1 + 4 * 10 + 4 * 3, 1e-4);
  EXPECT_NEAR(y[1], 10 + 11 + 4 * 5, 1e-4);
  EXPECT_NEAR(last[0], 10, 1e-5);
  EXPECT_NEAR(last[1], 11, 1e-5);
}

TEST(SelectiveScan, AgreesWithTheOracle) {
  for (const ScanCase& one : scan_cases()) {
    const ScanArrays arrays = make_inputs(one), wide = in_double(arrays);
    const ScanResult want = oracle(wide.inputs());
    for (const Isa isa : isas()) {
      SCOPED_TRACE(one.name() + " " + std::string(to_string(isa)));
      const IsaScope scope(isa);
      const ScanResult got = run_scan(arrays.inputs());
      expect_near(got, want);
      EXPECT_TRUE(got.y.gaps_untouched());
    }
  }
}

TEST(SelectiveScan, DoubleRunsTheOracle) {
  const ScanArrays wide = in_double(make_inputs({.length = 20}));
  ScanResult got = make_result(wide.inputs(), DType::f64);
  selective_scan(wide.inputs(), got.outputs(), Serial());
  expect_near(got, oracle(wide.inputs()), 0);
}

TEST(SelectiveScan, ASplitSequenceContinues) {
  const ScanArrays arrays = make_inputs({.length = 100, .gate = true});
  const SelectiveScanInputs in = arrays.inputs();
  const ScanResult whole = run_scan(in);
  for (const int64_t cut : {1, 31, 32, 40, 99}) {
    SelectiveScanInputs first = scan_tokens(in, 0, cut), second = scan_tokens(in, cut, 100);
    first.initial_state = in.initial_state;
    const ScanResult a = run_scan(first);
    second.initial_state = a.last_state;
    const ScanResult b = run_scan(second);
    EXPECT_LE(error_of(a.y.view(), scan_tokens(whole.y.view(), 0, cut)), kForward) << cut;
    EXPECT_LE(error_of(b.y.view(), scan_tokens(whole.y.view(), cut, 100)), kForward) << cut;
    EXPECT_LE(error_of(b.last_state.view(), whole.last_state.view()), kForward) << cut;
  }
}

TEST(SelectiveScan, PackedDocumentsAreSeparate) {
  const ScanArrays arrays = make_inputs({.batch = 1, .length = 80, .gate = true});
  const Array<2> seq_idx = packed_ids();
  SelectiveScanInputs in = arrays.inputs();
  in.seq_idx = seq_idx;
  const ScanResult packed = run_scan(in);
  for (int k = 0; k < 5; ++k) {
    SelectiveScanInputs alone = scan_tokens(in, kScanEnds[k], kScanEnds[k + 1]);
    if (k == 0) alone.initial_state = in.initial_state;
    const ScanResult want = run_scan(alone);
    EXPECT_LE(error_of(scan_tokens(packed.y.view(), kScanEnds[k], kScanEnds[k + 1]), want.y.view()),
              kForward)
        << k;
    if (k < 4) continue;
    EXPECT_LE(error_of(packed.last_state.view(), want.last_state.view()), kForward);
  }
}

TEST(SelectiveScan, PaddingIsNeverRead) {
  // The same real tokens with NaN in the padding and with numbers there.
  const ScanCase one = {
      .batch = 1, .length = 100, .gate = true, .documents = ScanDocuments::kPadded};
  const ScanArrays clean = make_inputs(one), dirty = make_inputs(one);
  poison_padding(dirty.inputs());
  const ScanResult a = run_scan(clean.inputs()), b = run_scan(dirty.inputs());
  EXPECT_TRUE(a.y.same_bytes(b.y));
  EXPECT_TRUE(a.last_state.same_bytes(b.last_state));
  EXPECT_EQ(value_at(a.y.view(), 0), 0);  // token 0 is padding
}

TEST(SelectiveScan, NothingButPaddingKeepsTheState) {
  const ScanArrays arrays = make_inputs({.batch = 1, .length = 40});
  Array<2> seq_idx(DType::i32, {1, 40});
  seq_idx.fill_with(-1);
  SelectiveScanInputs in = arrays.inputs();
  in.seq_idx = seq_idx;
  const ScanResult result = run_scan(in);
  EXPECT_EQ(error_of(result.last_state.view(), arrays.initial_state.view()), 0);
  for (int64_t i = 0; i < count_of(result.y.view()); ++i)
    EXPECT_EQ(value_at(result.y.view(), i), 0);
}

TEST(SelectiveScan, ThreadsDoNotChangeAByte) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const ScanArrays arrays = make_inputs(
        {.length = 70, .groups = 2, .group_channels = 200, .dtype = dtype, .gate = true});
    const ScanResult one = run_scan(arrays.inputs());
    for (const int threads : {2, 3}) {
      const ScanResult many = run_scan(arrays.inputs(), OddThreads(threads));
      EXPECT_TRUE(one.y.same_bytes(many.y));
      EXPECT_TRUE(one.last_state.same_bytes(many.last_state));
    }
  }
}

TEST(SelectiveScan, ExtremeSteps) {
  std::vector<ExtremeSteps> all(std::begin(kExtremeSteps), std::end(kExtremeSteps));
  all.push_back({0.05, 1, 0.5});  // a state that grows
  for (const ExtremeSteps& e : all) {
    for (const bool softplus : {false, true}) {
      const ScanArrays arrays = make_extreme(e, softplus);
      const ScanArrays wide = in_double(arrays);
      for (const Isa isa : isas()) {
        SCOPED_TRACE(std::string(to_string(isa)) + " " + name(e));
        const IsaScope scope(isa);
        expect_near(run_scan(arrays.inputs()), oracle(wide.inputs()));
      }
    }
  }
}

TEST(SelectiveScan, ADecayIsRightToTheLastBits) {
  // A state of 1 without input is the decay itself; channel c has A = -2^(c / 64 - 12) or its
  // opposite, up to e^(+-86).
  constexpr int64_t kChannels = 1180;
  const ScanCase one = {
      .batch = 1, .length = 1, .group_channels = kChannels, .width = 1, .softplus = false};
  ScanArrays arrays = make_inputs(one);
  arrays.u.fill_with(0), arrays.delta.fill_with(1), arrays.delta_bias.fill_with(0);
  arrays.initial_state.fill_with(1);
  for (const double sign : {-1.0, 1.0}) {
    for (int64_t c = 0; c < kChannels; ++c)
      set_at(arrays.A.view(), c, sign * std::exp2(static_cast<double>(c) / 64 - 12));
    for (const Isa isa : isas()) {
      const IsaScope scope(isa);
      const ScanResult got = run_scan(arrays.inputs());
      for (int64_t c = 0; c < kChannels; ++c) {
        const double A = value_at(arrays.A.view(), c), want = std::exp(A);
        // Rounding A log2 e to f32, and its product with Delta, may move the exponent by an ulp.
        EXPECT_NEAR(value_at(got.last_state.view(), c) / want, 1, 1.2e-7 * (1 + std::abs(A)))
            << to_string(isa) << " A " << A;
      }
    }
  }
}

TEST(SelectiveScan, ALongMemoryDoesNotDrift) {
  // Decays of 1 - 2^-20, which f32 holds to 5e-13: what is wrong with the state after 4,000 tokens
  // is what exp made wrong. One ulp of 1 would be 1.2e-4 of it.
  ScanArrays arrays = make_inputs({.batch = 1,
                                   .length = 4000,
                                   .group_channels = 4,
                                   .width = 2,
                                   .bias = false,
                                   .initial = false,
                                   .softplus = false});
  arrays.u.fill_with(1), arrays.B.fill_with(1);
  arrays.delta.fill_with(1.0 / 1024), arrays.A.fill_with(-1.0 / 1024);
  const ScanResult want = oracle(in_double(arrays).inputs());
  for (const Isa isa : isas()) {
    SCOPED_TRACE(to_string(isa));
    const IsaScope scope(isa);
    EXPECT_LE(error_of(run_scan(arrays.inputs()).last_state.view(), want.last_state.view()), 2e-5);
  }
}

}  // namespace
}  // namespace adder::kernels::testing
