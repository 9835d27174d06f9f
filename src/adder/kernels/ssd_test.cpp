#include "adder/kernels/test_ssd_cases.h"

namespace adder::kernels::testing {
namespace {

constexpr double kForward = 1e-5;

void expect_near(const SsdResult& got, const SsdResult& want, double tolerance = kForward) {
  EXPECT_LE(error_of(got.y.view(), want.y.view()), tolerance) << "y";
  EXPECT_LE(error_of(got.final_state.view(), want.final_state.view()), tolerance) << "final_state";
}

TEST(Ssd, TwoTokensByHand) {
  // One head, one channel, one state; A = -ln 2 and Delta = 1, so that the state halves at each
  // token.
  float x[] = {3, 5}, dt[] = {1, 1}, A[] = {-0.69314718f}, B[] = {2, 1}, C[] = {1, 10}, D[] = {4};
  float initial[] = {8}, y[2], final_state[1];
  SsdInputs in;
  in.x = dense<4>(x, DType::f32, {1, 2, 1, 1});
  in.dt = dense<3>(dt, DType::f32, {1, 2, 1});
  in.A = dense<1>(A, DType::f32, {1});
  in.B = dense<4>(B, DType::f32, {1, 2, 1, 1});
  in.C = dense<4>(C, DType::f32, {1, 2, 1, 1});
  in.D = dense<2>(D, DType::f32, {1, 1});
  in.initial_state = dense<4>(initial, DType::f32, {1, 1, 1, 1});
  in.dt_softplus = false;
  ssd(in, {dense<4>(y, DType::f32, {1, 2, 1, 1}), dense<4>(final_state, DType::f32, {1, 1, 1, 1})},
      Serial());
  EXPECT_NEAR(y[0], 8 / 2 + 3 * 2 + 4 * 3, 1e-5);          // state 10
  EXPECT_NEAR(y[1], (10 / 2 + 5 * 1) * 10 + 4 * 5, 1e-4);  // state 10
  EXPECT_NEAR(final_state[0], 10, 1e-5);
}

TEST(Ssd, AgreesWithTheOracle) {
  for (const SsdCase& one : ssd_cases()) {
    const SsdArrays arrays = make_inputs(one), wide = in_double(arrays);
    const SsdResult want = oracle(wide.inputs());
    for (const Isa isa : machine_isas()) {
      SCOPED_TRACE(one.name() + " " + std::string(to_string(isa)));
      const IsaScope scope(isa);
      expect_near(run_ssd(arrays.inputs()), want);
    }
  }
}

TEST(Ssd, TakesOddSizes) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const SsdCase one = {.length = 70,
                         .groups = 3,
                         .heads_a_group = 5,
                         .head_dim = 5,
                         .width = 3,
                         .dtype = dtype,
                         .gate = true};
    const SsdArrays arrays = make_inputs(one), wide = in_double(arrays);
    for (const Isa isa : machine_isas()) {
      SCOPED_TRACE(to_string(isa));
      const IsaScope scope(isa);
      expect_near(run_ssd(arrays.inputs()), oracle(wide.inputs()));
    }
  }
}

TEST(Ssd, DoubleRunsTheOracle) {
  const SsdArrays wide = in_double(make_inputs({.length = 20}));
  SsdResult got = make_result(wide.inputs(), DType::f64);
  ssd(wide.inputs(), got.outputs(), Serial());
  expect_near(got, oracle(wide.inputs()), 0);
}

TEST(Ssd, ASplitSequenceContinues) {
  const SsdArrays arrays = make_inputs({.length = 150, .gate = true});
  const SsdInputs in = arrays.inputs();
  const SsdResult whole = run_ssd(in);
  for (const int64_t cut : {1, 40, 64, 149}) {
    SsdInputs first = tokens(in, 0, cut), second = tokens(in, cut, 150);
    first.initial_state = in.initial_state;
    const SsdResult a = run_ssd(first);
    second.initial_state = a.final_state;
    const SsdResult b = run_ssd(second);
    EXPECT_LE(error_of(a.y.view(), tokens(whole.y.view(), 0, cut)), kForward) << cut;
    EXPECT_LE(error_of(b.y.view(), tokens(whole.y.view(), cut, 150)), kForward) << cut;
    EXPECT_LE(error_of(b.final_state.view(), whole.final_state.view()), kForward) << cut;
  }
}

TEST(Ssd, ChunkSizeChangesOnlyRounding) {
  const SsdArrays arrays = make_inputs({.length = 130, .documents = Documents::kPadded});
  const SsdResult want = oracle(in_double(arrays).inputs());
  for (const int64_t chunk : {1, 7, 16, 32, 50, 64, 130, 256}) {
    SsdInputs in = arrays.inputs();
    in.chunk_size = chunk;
    expect_near(run_ssd(in), want);
  }
}

TEST(Ssd, PackedDocumentsAreSeparate) {
  // Ids come back (0, 1, 0): what counts is the boundary.
  constexpr int64_t kEnds[] = {0, 3, 63, 65, 128, 140};
  const SsdCase one = {.batch = 1, .length = 140, .gate = true};
  const SsdArrays arrays = make_inputs(one);
  Array<2> seq_idx(DType::i32, {1, 140});
  for (int k = 0; k < 5; ++k)
    for (int64_t t = kEnds[k]; t < kEnds[k + 1]; ++t) set_at(seq_idx.view(), t, k % 2);
  SsdInputs in = arrays.inputs();
  in.seq_idx = seq_idx;
  const SsdResult packed = run_ssd(in);
  for (int k = 0; k < 5; ++k) {
    SsdInputs alone = tokens(in, kEnds[k], kEnds[k + 1]);
    if (k == 0) alone.initial_state = in.initial_state;
    const SsdResult want = run_ssd(alone);
    EXPECT_LE(error_of(tokens(packed.y.view(), kEnds[k], kEnds[k + 1]), want.y.view()), kForward)
        << k;
    if (k < 4) continue;
    EXPECT_LE(error_of(packed.final_state.view(), want.final_state.view()), kForward);
  }
}

TEST(Ssd, PaddingIsNeverRead) {
  // The same real tokens with NaN in the padding and with numbers there.
  const SsdCase one = {.batch = 1, .length = 80, .gate = true, .documents = Documents::kPadded};
  const SsdArrays clean = make_inputs(one), dirty = make_inputs(one);
  poison_padding(dirty.inputs());
  const SsdResult a = run_ssd(clean.inputs()), b = run_ssd(dirty.inputs());
  EXPECT_TRUE(a.y.same_bytes(b.y));
  EXPECT_TRUE(a.final_state.same_bytes(b.final_state));
  EXPECT_EQ(value_at(a.y.view(), 0), 0);  // token 0 is padding
}

TEST(Ssd, ThreadsDoNotChangeAByte) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const SsdArrays arrays =
        make_inputs({.length = 200, .groups = 2, .heads_a_group = 5, .dtype = dtype, .gate = true});
    const SsdResult one = run_ssd(arrays.inputs());
    for (const int threads : {2, 3}) {
      const SsdResult many = run_ssd(arrays.inputs(), OddThreads(threads));
      EXPECT_TRUE(one.y.same_bytes(many.y));
      EXPECT_TRUE(one.final_state.same_bytes(many.final_state));
    }
  }
}

TEST(Ssd, ExtremeDecays) {
  // |Delta A| of nearly none, of immediate forgetting, alternating, and Delta beyond softplus's
  // switch at 20.
  struct Extreme {
    double A, dt_even, dt_odd;
  };
  for (const Extreme e : {Extreme{-1e-8, 1, 1},
                          {-50, 1, 1},
                          {-1000, 1, 1},
                          {-60, 1, 1e-6},
                          {-0.01, 25, 20},
                          {-8, 30, -30},
                          {-2, 0.9, 0.9}}) {
    const SsdArrays arrays = make_inputs({.length = 130, .softplus = e.dt_even >= 20});
    for (int64_t i = 0; i < 2; ++i) set_at(arrays.A.view(), i, e.A);
    for (int64_t i = 0; i < count_of(arrays.dt.view()); ++i)
      set_at(arrays.dt.view(), i, i / 2 % 2 ? e.dt_odd : e.dt_even);
    SsdInputs in = arrays.inputs();
    in.dt_bias = {};
    SsdInputs wide_in;
    const SsdArrays wide = in_double(arrays);
    wide_in = wide.inputs();
    wide_in.dt_bias = {};
    for (const Isa isa : machine_isas()) {
      SCOPED_TRACE(std::string(to_string(isa)) + " A " + std::to_string(e.A));
      const IsaScope scope(isa);
      expect_near(run_ssd(in), oracle(wide_in));
    }
  }
}

}  // namespace
}  // namespace adder::kernels::testing
