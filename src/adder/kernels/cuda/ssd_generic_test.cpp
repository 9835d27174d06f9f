// The kernels that take any shape, against the plain loops in double.
#include "adder/kernels/cuda/ssd_kernels.h"
#include "adder/kernels/cuda/test_device.h"
#include "adder/kernels/test_ssd_cases.h"

namespace adder::kernels::testing {
namespace {

constexpr double kTolerance = 1e-5;

SsdInputs on_device(SsdInputs in, OnDevice& device) {
  in.x = device(in.x), in.dt = device(in.dt), in.A = device(in.A), in.B = device(in.B);
  in.C = device(in.C), in.D = device(in.D), in.z = device(in.z);
  in.dt_bias = device(in.dt_bias), in.initial_state = device(in.initial_state);
  in.seq_idx = device(in.seq_idx);
  return in;
}

SsdResult run_forward(const SsdInputs& in) {
  const SsdResult result = make_result(in);
  OnDevice device;
  const TestWork work;
  const SsdOutputs out{device(result.y.view()), device(result.final_state.view())};
  EXPECT_EQ(cuda::ssd_forward_generic(on_device(in, device), out, work), nullptr);
  device.fetch();
  EXPECT_TRUE(result.y.gaps_untouched());
  return result;
}

SsdGradArrays run_backward(const SsdInputs& in, const SsdGradArrays& grads) {
  SsdGradArrays result = grads;
  OnDevice device;
  const TestWork work;
  SsdGradients g = result.gradients();
  g.grad_y = device(g.grad_y), g.grad_final_state = device(g.grad_final_state);
  g.grad_x = device(g.grad_x), g.grad_dt = device(g.grad_dt), g.grad_A = device(g.grad_A);
  g.grad_B = device(g.grad_B), g.grad_C = device(g.grad_C), g.grad_D = device(g.grad_D);
  g.grad_z = device(g.grad_z), g.grad_dt_bias = device(g.grad_dt_bias);
  g.grad_initial_state = device(g.grad_initial_state);
  EXPECT_EQ(cuda::ssd_backward_generic(on_device(in, device), g, work), nullptr);
  device.fetch();
  EXPECT_TRUE(result.x.gaps_untouched());
  EXPECT_TRUE(result.B.gaps_untouched());
  return result;
}

void expect_forward(const SsdArrays& arrays) {
  const SsdResult got = run_forward(arrays.inputs()), want = oracle(in_double(arrays).inputs());
  EXPECT_LE(error_of(got.y.view(), want.y.view()), kTolerance) << "y";
  EXPECT_LE(error_of(got.final_state.view(), want.final_state.view()), kTolerance) << "final";
}

/// dA is one number a head, and its terms may cancel: it need not be closer than the plain loops
/// come in f32.
void expect_A(const SsdArrays& wide, const SsdGradArrays& got, const SsdGradArrays& want) {
  const double error = error_of(got.A.view(), want.A.view());
  if (error <= kTolerance) return;
  const SsdGradArrays loops = in_double(want);
  ref::ssd_backward<float>(wide.inputs(), loops.gradients());
  EXPECT_LE(error, 1.5 * error_of(loops.A.view(), want.A.view())) << "grad_A";
}

void expect_backward(const SsdArrays& arrays, bool final) {
  const SsdGradArrays grads = make_gradients(arrays.inputs(), final);
  const SsdGradArrays want = in_double(grads);
  const SsdArrays wide = in_double(arrays);
  ref::ssd_backward<double>(wide.inputs(), want.gradients());
  SsdGradArrays got = run_backward(arrays.inputs(), grads);
  expect_A(wide, got, want);
  got.A = want.A;
  expect_near(got, want, kTolerance);
}

/// Sizes that are not multiples of anything, and each width of the state's tile.
std::vector<SsdCase> odd_cases() {
  std::vector<SsdCase> cases;
  for (const auto& [head_dim, width] : {std::pair<int64_t, int64_t>{5, 3},
                                        {1, 1},
                                        {300, 7},
                                        {70, 33},
                                        {130, 100},
                                        {35, 200},
                                        {6, 257},
                                        {3, 1024}}) {
    for (const DType dtype : {DType::f32, DType::bf16}) {
      cases.push_back({.length = 70,
                       .groups = width < 100 ? 3 : 1,
                       .heads_a_group = width < 100 ? 5 : 2,
                       .head_dim = head_dim,
                       .width = width,
                       .dtype = dtype,
                       .skip = SkipKind::kChannel,
                       .gate = true,
                       .gap = 1});
    }
  }
  return cases;
}

TEST(CudaSsdGeneric, ForwardAgreesWithTheOracle) {
  ADDER_NEEDS_DEVICE();
  for (const SsdCase& one : ssd_cases()) {
    SCOPED_TRACE(one.name());
    expect_forward(make_inputs(one));
  }
}

TEST(CudaSsdGeneric, ForwardTakesOddSizes) {
  ADDER_NEEDS_DEVICE();
  for (const SsdCase& one : odd_cases()) {
    SCOPED_TRACE(one.name());
    expect_forward(make_inputs(one));
  }
}

TEST(CudaSsdGeneric, BackwardAgreesWithTheOracle) {
  ADDER_NEEDS_DEVICE();
  for (const SsdCase& one : ssd_cases()) {
    SCOPED_TRACE(one.name());
    expect_backward(make_inputs(one), one.final);
  }
}

TEST(CudaSsdGeneric, BackwardTakesOddSizes) {
  ADDER_NEEDS_DEVICE();
  for (const SsdCase& one : odd_cases()) {
    SCOPED_TRACE(one.name());
    expect_backward(make_inputs(one), true);
  }
}

TEST(CudaSsdGeneric, StatesBeyondTheWidestAreRefused) {
  ADDER_NEEDS_DEVICE();
  SsdInputs in;
  in.B.size[3] = 1025;
  EXPECT_NE(cuda::ssd_forward_generic(in, {}, TestWork()), nullptr);
  EXPECT_NE(cuda::ssd_backward_generic(in, {}, TestWork()), nullptr);
}

TEST(CudaSsdGeneric, ASplitSequenceContinues) {
  ADDER_NEEDS_DEVICE();
  const SsdArrays arrays = make_inputs({.length = 150, .gate = true});
  const SsdInputs in = arrays.inputs();
  const SsdResult whole = run_forward(in);
  for (const int64_t cut : {1, 40, 64, 149}) {
    SsdInputs first = tokens(in, 0, cut), second = tokens(in, cut, 150);
    first.initial_state = in.initial_state;
    const SsdResult a = run_forward(first);
    second.initial_state = a.final_state;
    const SsdResult b = run_forward(second);
    EXPECT_EQ(error_of(a.y.view(), tokens(whole.y.view(), 0, cut)), 0) << cut;
    EXPECT_EQ(error_of(b.y.view(), tokens(whole.y.view(), cut, 150)), 0) << cut;
    EXPECT_TRUE(b.final_state.same_bytes(whole.final_state)) << cut;
  }
}

TEST(CudaSsdGeneric, PaddingIsNeverRead) {
  ADDER_NEEDS_DEVICE();
  const SsdCase one = {.batch = 1, .length = 80, .gate = true, .documents = Documents::kPadded};
  const SsdArrays clean = make_inputs(one), dirty = make_inputs(one);
  const SsdGradArrays grads = make_gradients(clean.inputs(), true);
  const SsdGradArrays dirty_grads = make_gradients(dirty.inputs(), true);
  poison_padding(dirty.inputs());
  poison_padding(dirty.seq_idx.view(), dirty_grads.grad_y.view());
  const SsdResult a = run_forward(clean.inputs()), b = run_forward(dirty.inputs());
  EXPECT_TRUE(a.y.same_bytes(b.y));
  EXPECT_TRUE(a.final_state.same_bytes(b.final_state));
  const SsdGradArrays g = run_backward(clean.inputs(), grads);
  expect_same_bytes(g, run_backward(dirty.inputs(), dirty_grads));
  EXPECT_EQ(value_at(a.y.view(), 0), 0);  // token 0 is padding
  EXPECT_EQ(value_at(g.x.view(), 0), 0);
  EXPECT_EQ(value_at(g.B.view(), 0), 0);
}

TEST(CudaSsdGeneric, OutputsMayBeLeftOut) {
  ADDER_NEEDS_DEVICE();
  const SsdArrays arrays = make_inputs({.length = 70, .gate = true});
  const SsdGradArrays all = make_gradients(arrays.inputs(), true);
  const SsdGradArrays want = run_backward(arrays.inputs(), all);
  SsdGradArrays only_x;
  only_x.grad_y = all.grad_y;
  only_x.grad_final_state = all.grad_final_state;
  only_x.x = all.x;
  EXPECT_TRUE(run_backward(arrays.inputs(), only_x).x.same_bytes(want.x));
}

TEST(CudaSsdGeneric, TheSameBitsAgain) {
  ADDER_NEEDS_DEVICE();
  for (const DType dtype : {DType::f32, DType::bf16}) {
    const SsdArrays arrays = make_inputs({.length = 200,
                                          .groups = 2,
                                          .heads_a_group = 5,
                                          .head_dim = 64,
                                          .width = 128,
                                          .dtype = dtype,
                                          .gate = true});
    const SsdResult a = run_forward(arrays.inputs()), b = run_forward(arrays.inputs());
    EXPECT_TRUE(a.y.same_bytes(b.y));
    EXPECT_TRUE(a.final_state.same_bytes(b.final_state));
    const SsdGradArrays grads = make_gradients(arrays.inputs(), true);
    expect_same_bytes(run_backward(arrays.inputs(), grads), run_backward(arrays.inputs(), grads));
  }
}

TEST(CudaSsdGeneric, ExtremeDecays) {
  ADDER_NEEDS_DEVICE();
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
    SCOPED_TRACE("A " + std::to_string(e.A) + " dt " + std::to_string(e.dt_even));
    const SsdArrays arrays =
        make_inputs({.length = 130, .bias = false, .softplus = e.dt_even >= 20});
    for (int64_t i = 0; i < 2; ++i) set_at(arrays.A.view(), i, e.A);
    for (int64_t i = 0; i < count_of(arrays.dt.view()); ++i)
      set_at(arrays.dt.view(), i, i / 2 % 2 ? e.dt_odd : e.dt_even);
    expect_forward(arrays);
    expect_backward(arrays, true);
  }
}

}  // namespace
}  // namespace adder::kernels::testing
