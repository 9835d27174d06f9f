#include "adder/kernels/test_ssd_cases.h"

namespace adder::kernels::testing {
namespace {

constexpr double kBackward = 1e-4;

SsdGradArrays run_backward(const SsdInputs& in, SsdGradArrays grads,
                           const Parallel& parallel = Serial()) {
  ssd_backward(in, grads.gradients(), parallel);
  return grads;
}

SsdGradArrays oracle_backward(const SsdInputs& in_double, SsdGradArrays grads) {
  ref::ssd_backward<double>(in_double, grads.gradients());
  return grads;
}

TEST(SsdBackward, OracleAgreesWithFiniteDifferences) {
  for (const auto documents : {Documents::kNone, Documents::kPacked, Documents::kPadded}) {
    for (const auto skip : {SkipKind::kHead, SkipKind::kChannel}) {
      const SsdCase one = {.length = 9,
                           .groups = 2,
                           .head_dim = 3,
                           .width = 2,
                           .skip = skip,
                           .gate = true,
                           .limits = skip == SkipKind::kHead,
                           .documents = documents,
                           .chunk_size = 4};
      const SsdArrays arrays = in_double(make_inputs(one));
      const SsdInputs in = arrays.inputs();
      const SsdGradArrays grads = oracle_backward(in, in_double(make_gradients(in, true)));
      const std::function<double()> loss = [&] {
        const SsdResult result = oracle(in);
        return dot(result.y.view(), grads.grad_y.view()) +
               dot(result.final_state.view(), grads.grad_final_state.view());
      };
      expect_gradient(loss, in.x, grads.x.view(), "x");
      expect_gradient(loss, in.dt, grads.dt.view(), "dt");
      expect_gradient(loss, in.A, grads.A.view(), "A");
      expect_gradient(loss, in.B, grads.B.view(), "B");
      expect_gradient(loss, in.C, grads.C.view(), "C");
      expect_gradient(loss, in.D, grads.D.view(), "D");
      expect_gradient(loss, in.z, grads.z.view(), "z");
      expect_gradient(loss, in.dt_bias, grads.dt_bias.view(), "dt_bias");
      expect_gradient(loss, in.initial_state, grads.initial_state.view(), "initial_state");
    }
  }
}

TEST(SsdBackward, AgreesWithTheOracle) {
  for (const SsdCase& one : ssd_cases()) {
    const SsdArrays arrays = make_inputs(one), wide = in_double(arrays);
    const SsdGradArrays grads = make_gradients(arrays.inputs(), one.final);
    const SsdGradArrays want = oracle_backward(wide.inputs(), in_double(grads));
    for (const Isa isa : machine_isas()) {
      SCOPED_TRACE(one.name() + " " + std::string(to_string(isa)));
      const IsaScope scope(isa);
      expect_near(run_backward(arrays.inputs(), grads), want, kBackward);
    }
  }
}

TEST(SsdBackward, TakesOddSizes) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const SsdCase one = {.length = 70,
                         .groups = 3,
                         .heads_a_group = 5,
                         .head_dim = 5,
                         .width = 3,
                         .dtype = dtype,
                         .skip = SkipKind::kChannel,
                         .gate = true};
    const SsdArrays arrays = make_inputs(one), wide = in_double(arrays);
    const SsdGradArrays grads = make_gradients(arrays.inputs(), true);
    const SsdGradArrays want = oracle_backward(wide.inputs(), in_double(grads));
    for (const Isa isa : machine_isas()) {
      SCOPED_TRACE(to_string(isa));
      const IsaScope scope(isa);
      expect_near(run_backward(arrays.inputs(), grads), want, kBackward);
    }
  }
}

TEST(SsdBackward, OutputsMayBeLeftOut) {
  const SsdArrays arrays = make_inputs({.length = 70, .gate = true});
  const SsdGradArrays all = make_gradients(arrays.inputs(), true);
  const SsdGradArrays want = run_backward(arrays.inputs(), all);
  SsdGradArrays only_x = all;
  SsdGradients some;
  some.grad_y = only_x.grad_y;
  some.grad_final_state = only_x.grad_final_state;
  some.grad_x = only_x.x;
  ssd_backward(arrays.inputs(), some, Serial());
  EXPECT_TRUE(only_x.x.same_bytes(want.x));
}

TEST(SsdBackward, PackedDocumentsAreSeparate) {
  constexpr int64_t kEnds[] = {0, 3, 63, 65, 128, 140};
  const SsdArrays arrays = make_inputs({.batch = 1, .length = 140, .gate = true});
  Array<2> seq_idx(DType::i32, {1, 140});
  for (int k = 0; k < 5; ++k)
    for (int64_t t = kEnds[k]; t < kEnds[k + 1]; ++t) set_at(seq_idx.view(), t, k % 2);
  SsdInputs in = arrays.inputs();
  in.seq_idx = seq_idx;
  const SsdGradArrays all = run_backward(in, make_gradients(in, true));
  double sum_A[2] = {0, 0};
  for (int k = 0; k < 5; ++k) {
    SsdInputs alone = tokens(in, kEnds[k], kEnds[k + 1]);
    if (k == 0) alone.initial_state = in.initial_state;
    SsdGradArrays part = make_gradients(alone, false);
    SsdGradients views = part.gradients();
    views.grad_y = tokens(all.grad_y.view(), kEnds[k], kEnds[k + 1]);
    if (k == 4) views.grad_final_state = all.grad_final_state;
    ssd_backward(alone, views, Serial());
    const auto expect_part = [&](const auto& whole, const auto& want, const char* name) {
      EXPECT_LE(error_of(tokens(whole.view(), kEnds[k], kEnds[k + 1]), want.view()), 1e-5)
          << name << k;
    };
    expect_part(all.x, part.x, "x");
    expect_part(all.dt, part.dt, "dt");
    expect_part(all.B, part.B, "B");
    expect_part(all.C, part.C, "C");
    expect_part(all.z, part.z, "z");
    if (k == 0) {
      EXPECT_LE(error_of(all.initial_state.view(), part.initial_state.view()), 1e-5);
    }
    for (int64_t h = 0; h < 2; ++h) sum_A[h] += value_at(part.A.view(), h);
  }
  for (int64_t h = 0; h < 2; ++h)
    EXPECT_NEAR(value_at(all.A.view(), h), sum_A[h], 1e-4 * (1 + std::abs(sum_A[h])));
}

TEST(SsdBackward, PaddingGivesAndGetsNothing) {
  const SsdCase one = {.batch = 1, .length = 80, .gate = true, .documents = Documents::kPadded};
  const SsdArrays clean = make_inputs(one), dirty = make_inputs(one);
  SsdGradArrays grads = make_gradients(clean.inputs(), true), dirty_grads = grads;
  poison_padding(dirty.inputs());
  poison_padding(dirty.seq_idx.view(), dirty_grads.grad_y.view());
  grads = run_backward(clean.inputs(), grads);
  dirty_grads = run_backward(dirty.inputs(), dirty_grads);
  expect_same_bytes(grads, dirty_grads);
  EXPECT_EQ(value_at(grads.x.view(), 0), 0);  // token 0 is padding
  EXPECT_EQ(value_at(grads.dt.view(), 0), 0);
  EXPECT_EQ(value_at(grads.B.view(), 0), 0);
}

TEST(SsdBackward, ThreadsDoNotChangeAByte) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const SsdArrays arrays =
        make_inputs({.length = 200, .groups = 2, .heads_a_group = 5, .dtype = dtype, .gate = true});
    const SsdGradArrays grads = make_gradients(arrays.inputs(), true);
    const SsdGradArrays one = run_backward(arrays.inputs(), grads);
    for (const int threads : {2, 3})
      expect_same_bytes(one, run_backward(arrays.inputs(), grads, OddThreads(threads)));
  }
}

TEST(SsdBackward, ExtremeDecays) {
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
    const SsdArrays arrays =
        make_inputs({.length = 130, .bias = false, .softplus = e.dt_even >= 20});
    for (int64_t i = 0; i < 2; ++i) set_at(arrays.A.view(), i, e.A);
    for (int64_t i = 0; i < count_of(arrays.dt.view()); ++i)
      set_at(arrays.dt.view(), i, i / 2 % 2 ? e.dt_odd : e.dt_even);
    const SsdArrays wide = in_double(arrays);
    const SsdGradArrays grads = make_gradients(arrays.inputs(), true);
    const SsdGradArrays want = oracle_backward(wide.inputs(), in_double(grads));
    for (const Isa isa : machine_isas()) {
      SCOPED_TRACE(std::string(to_string(isa)) + " A " + std::to_string(e.A));
      const IsaScope scope(isa);
      expect_near(run_backward(arrays.inputs(), grads), want, kBackward);
    }
  }
}

}  // namespace
}  // namespace adder::kernels::testing
