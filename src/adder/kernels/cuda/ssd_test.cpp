#include "adder/kernels/cuda/ssd_kernels.h"
#include "adder/kernels/cuda/test_device.h"
#include "adder/kernels/test_ssd_cases.h"

namespace adder::kernels::testing {
namespace {

// Relative errors (root of the mean square) that bf16 products may have: 1.5 times those of the
// scheme with decayed scores in bf16, 2.2e-3 with the rounding of y, over all kinds of decays.
constexpr double kBf16 = 1.5 * 2.2e-3;

using Kernel = std::function<DeviceAnswer(const SsdInputs&, const SsdOutputs&, const DeviceWork&)>;

Kernel mma_in(int64_t segments) {
  return [=](const SsdInputs& in, const SsdOutputs& out, const DeviceWork& work) {
    return cuda::ssd_forward_mma(in, out, work, segments);
  };
}

/// The answer of the device; rows of y `gap` elements apart.
SsdResult run_device(const SsdInputs& in, const Kernel& kernel = cuda::ssd, int64_t gap = 0) {
  SsdResult result = make_result(in);
  if (gap != 3) result.y = Array<4>(in.x.dtype, in.x.size, gap);
  OnDevice device;
  TestWork work;
  SsdInputs there = in;
  there.x = device(in.x), there.dt = device(in.dt), there.A = device(in.A);
  there.B = device(in.B), there.C = device(in.C), there.D = device(in.D);
  there.z = device(in.z), there.dt_bias = device(in.dt_bias);
  there.initial_state = device(in.initial_state), there.seq_idx = device(in.seq_idx);
  const DeviceAnswer wrong =
      kernel(there, {device(result.y.view()), device(result.final_state.view())}, work);
  EXPECT_EQ(wrong, nullptr) << wrong;
  device.fetch();
  EXPECT_TRUE(result.y.gaps_untouched());
  return result;
}

template <int Rank>
double rms_error(const View<Rank>& got, const View<Rank>& want) {
  double error = 0, size = 1e-60;
  for (int64_t i = 0; i < count_of(want); ++i) {
    const double a = value_at(got, i), b = value_at(want, i);
    error += (a - b) * (a - b), size += b * b;
  }
  const double ratio = std::sqrt(error / size);
  return std::isnan(ratio) ? std::numeric_limits<double>::infinity() : ratio;
}

void expect_near(const SsdResult& got, const SsdResult& want) {
  if (got.y.view().dtype == DType::f32) {
    EXPECT_LE(error_of(got.y.view(), want.y.view()), 1e-5) << "y";
    EXPECT_LE(error_of(got.final_state.view(), want.final_state.view()), 1e-5) << "final_state";
    return;
  }
  EXPECT_LE(rms_error(got.y.view(), want.y.view()), kBf16) << "y";
  EXPECT_LE(rms_error(got.final_state.view(), want.final_state.view()), kBf16) << "final_state";
  // No place is far off, a seldom used one neither.
  EXPECT_LE(error_of(got.y.view(), want.y.view()), 2e-2) << "y";
  EXPECT_LE(error_of(got.final_state.view(), want.final_state.view()), 2e-2) << "final_state";
}

SsdCase usual(int64_t length) {
  return {.length = length, .head_dim = 64, .width = 128, .dtype = DType::bf16};
}

TEST(CudaSsd, AgreesWithTheOracle) {
  ADDER_NEEDS_DEVICE();
  for (const SsdCase& one : ssd_cases()) {
    SCOPED_TRACE(one.name());
    const SsdArrays arrays = make_inputs(one);
    expect_near(run_device(arrays.inputs(), cuda::ssd, one.gap),
                oracle(in_double(arrays).inputs()));
  }
}

TEST(CudaSsdMma, AgreesWithTheOracleForEveryShape) {
  ADDER_NEEDS_DEVICE();
  for (const int64_t head_dim : {32, 64, 128})
    for (const int64_t width : {64, 128})
      for (const int64_t heads : {1, 2, 4}) {
        const SsdCase one = {.length = 130,
                             .groups = 2,
                             .heads_a_group = heads,
                             .head_dim = head_dim,
                             .width = width,
                             .dtype = DType::bf16,
                             .skip = SkipKind::kChannel,
                             .gate = heads == 2,
                             .documents = heads == 4 ? Documents::kPadded : Documents::kNone};
        SCOPED_TRACE(one.name());
        const SsdArrays arrays = make_inputs(one);
        ASSERT_TRUE(cuda::takes_mma(arrays.inputs(), {}));
        const SsdResult want = oracle(in_double(arrays).inputs());
        for (const int64_t segments : {1, 2})
          for (const int64_t gap : {0, 3})
            expect_near(run_device(arrays.inputs(), mma_in(segments), gap), want);
      }
}

TEST(CudaSsdMma, TakesAnyLength) {
  ADDER_NEEDS_DEVICE();
  for (const int64_t length : {1, 2, 63, 64, 65, 127, 128, 129, 1000, 2048}) {
    SCOPED_TRACE(length);
    SsdCase one = usual(length);
    if (length >= 1000) one.batch = 1;
    const SsdArrays arrays = make_inputs(one);
    const SsdResult want = oracle(in_double(arrays).inputs());
    for (const int64_t segments : {1, 2, 3, 32})
      expect_near(run_device(arrays.inputs(), mma_in(segments)), want);
  }
}

TEST(CudaSsdMma, SegmentsChangeOnlyRoundingAndRepeat) {
  ADDER_NEEDS_DEVICE();
  SsdCase one = usual(1500);
  one.documents = Documents::kPadded;
  const SsdArrays arrays = make_inputs(one);
  const SsdResult whole = run_device(arrays.inputs(), mma_in(1));
  for (const int64_t segments : {0, 1, 2, 3, 5, 8, 24}) {
    SCOPED_TRACE(segments);
    const SsdResult a = run_device(arrays.inputs(), mma_in(segments));
    const SsdResult b = run_device(arrays.inputs(), mma_in(segments));
    EXPECT_TRUE(a.y.same_bytes(b.y));
    EXPECT_TRUE(a.final_state.same_bytes(b.final_state));
    EXPECT_LE(rms_error(a.y.view(), whole.y.view()), kBf16);
    EXPECT_LE(rms_error(a.final_state.view(), whole.final_state.view()), kBf16);
  }
}

TEST(CudaSsd, ASplitSequenceContinues) {
  ADDER_NEEDS_DEVICE();
  const SsdArrays arrays = make_inputs(usual(150));
  const SsdInputs in = arrays.inputs();
  const SsdResult whole = oracle(in_double(arrays).inputs());
  for (const int64_t cut : {1, 40, 64, 149}) {
    SsdInputs first = tokens(in, 0, cut), second = tokens(in, cut, 150);
    first.initial_state = in.initial_state;
    const SsdResult a = run_device(first);
    second.initial_state = a.final_state;
    const SsdResult b = run_device(second);
    EXPECT_LE(rms_error(a.y.view(), tokens(whole.y.view(), 0, cut)), kBf16) << cut;
    EXPECT_LE(rms_error(b.y.view(), tokens(whole.y.view(), cut, 150)), kBf16) << cut;
    EXPECT_LE(rms_error(b.final_state.view(), whole.final_state.view()), kBf16) << cut;
  }
}

TEST(CudaSsd, DocumentsBeginAnywhere) {
  ADDER_NEEDS_DEVICE();
  for (int64_t begin = 1; begin < 130; begin += begin < 60 || begin > 66 ? 9 : 1) {
    SCOPED_TRACE(begin);
    SsdCase one = usual(140);
    one.batch = 1, one.heads_a_group = 2;
    const SsdArrays arrays = make_inputs(one);
    Array<2> ids(DType::i32, {1, one.length});
    for (int64_t t = 0; t < one.length; ++t) set_at(ids.view(), t, t < begin ? 7 : 2);
    SsdInputs in = arrays.inputs();
    in.seq_idx = ids;
    const SsdArrays copy = in_double(arrays);
    SsdInputs wide = copy.inputs();
    wide.seq_idx = ids;
    const SsdResult want = oracle(wide);
    for (const int64_t segments : {1, 3}) expect_near(run_device(in, mma_in(segments)), want);
  }
}

TEST(CudaSsd, PaddingIsNeverRead) {
  ADDER_NEEDS_DEVICE();
  SsdCase one = usual(200);
  one.batch = 1, one.gate = true, one.documents = Documents::kPadded;
  const SsdArrays clean = make_inputs(one), dirty = make_inputs(one);
  poison_padding(dirty.inputs());
  for (const int64_t segments : {1, 2}) {
    const SsdResult a = run_device(clean.inputs(), mma_in(segments));
    const SsdResult b = run_device(dirty.inputs(), mma_in(segments));
    EXPECT_TRUE(a.y.same_bytes(b.y));
    EXPECT_TRUE(a.final_state.same_bytes(b.final_state));
    EXPECT_EQ(value_at(a.y.view(), 0), 0);
  }
}

/// Delta of token t and head h as `delta(t, h)` says, A = -1.
void compare_with_steps(const std::function<double(int64_t, int64_t)>& delta, double A = -1) {
  SsdCase one = usual(200);
  one.batch = 1, one.heads_a_group = 4, one.softplus = false, one.bias = false;
  SsdArrays arrays = make_inputs(one);
  arrays.dt = Array<3>(DType::f32, {1, one.length, one.heads()});
  for (int64_t i = 0; i < count_of(arrays.dt.view()); ++i)
    set_at(arrays.dt.view(), i, delta(i / one.heads(), i % one.heads()));
  for (int64_t h = 0; h < one.heads(); ++h) set_at(arrays.A.view(), h, A);
  const SsdResult want = oracle(in_double(arrays).inputs());
  for (const int64_t segments : {1, 2})
    expect_near(run_device(arrays.inputs(), mma_in(segments)), want);
}

TEST(CudaSsdMma, BothSidesOfTheGuard) {
  ADDER_NEEDS_DEVICE();
  // The sum of 63 decays in a chunk (the limit is 120), in one head alone; the same in 8 tokens at
  // the chunk's front or back, where the limit is 100 ln 2 = 69.3.
  for (const double width : {60., 69., 70., 95., 119.9, 120.1, 200.}) {
    SCOPED_TRACE(width);
    compare_with_steps([=](int64_t, int64_t h) { return h == 1 ? width / 63 : 0.01; });
    compare_with_steps(
        [=](int64_t t, int64_t h) { return h == 2 && t % 64 < 8 ? width / 7.01 : 0.003; });
    compare_with_steps([=](int64_t t, int64_t) { return t % 64 > 55 ? width / 8.01 : 0.003; });
  }
}

TEST(CudaSsdMma, ExtremeSteps) {
  ADDER_NEEDS_DEVICE();
  compare_with_steps([](int64_t, int64_t) { return 0; });
  compare_with_steps([](int64_t t, int64_t) { return t % 3 == 0 ? 0 : 0.1; });
  for (const double A : {-1e-8, -50., -1e3}) {
    SCOPED_TRACE(A);
    compare_with_steps([](int64_t, int64_t) { return 1; }, A);
    compare_with_steps([](int64_t t, int64_t) { return t % 2 == 0 ? 1 : 1e-6; }, A);
    compare_with_steps([](int64_t t, int64_t h) { return t % 50 == h ? 1 : 1e-3; }, A);
  }
}

}  // namespace
}  // namespace adder::kernels::testing
