#include <functional>

#include "adder/kernels/cuda/ssd_kernels.h"
#include "adder/kernels/cuda/test_device.h"
#include "adder/kernels/test_ssd_cases.h"

namespace adder::kernels::testing {
namespace {

/// Rows of 8 elements more than needed: y may be a slice.
SsdResult aligned_result(const SsdInputs& in) {
  SsdResult result = make_result(in);
  result.y = Array<4>(in.x.dtype, in.x.size, 8);
  return result;
}

SsdResult run_sm90(const SsdArrays& arrays, int64_t segments, int64_t prefix = 0) {
  const SsdInputs in = arrays.inputs();
  SsdResult result = aligned_result(in);
  OnDevice device;
  SsdInputs d = in;
  d.x = device(in.x), d.dt = device(in.dt), d.A = device(in.A), d.B = device(in.B);
  d.C = device(in.C), d.D = device(in.D), d.z = device(in.z), d.dt_bias = device(in.dt_bias);
  d.initial_state = device(in.initial_state), d.seq_idx = device(in.seq_idx);
  const SsdOutputs out{device(result.y.view()), device(result.final_state.view())};
  EXPECT_TRUE(cuda::takes_sm90(d, out));
  TestWork work;
  const DeviceAnswer wrong = cuda::ssd_forward_sm90(d, out, work, segments, prefix);
  EXPECT_EQ(wrong, nullptr) << wrong;
  device.fetch();
  return result;
}

/// Root of the mean square of the error over that of the values; NaN is infinite.
double relative_rms(const View<4>& got, const View<4>& want) {
  double error = 0, square = 1e-30;
  for (int64_t i = 0; i < count_of(want); ++i) {
    const double a = value_at(got, i), b = value_at(want, i);
    error += (a - b) * (a - b), square += b * b;
  }
  return std::isnan(error) ? std::numeric_limits<double>::infinity() : std::sqrt(error / square);
}

/// M, the weighed x, the state where it multiplies C, and y are rounded to bf16: 2.4e-3 together by
/// an emulation, where the reference's places of rounding give up to 2.2e-3. Errors of single
/// elements are against the largest.
constexpr double kRelativeRms = 1.5 * 2.2e-3, kWorst = 1.2e-2;

void expect_near(const SsdResult& got, const SsdResult& want, const std::string& name) {
  EXPECT_LE(relative_rms(got.y, want.y), kRelativeRms) << name;
  EXPECT_LE(relative_rms(got.final_state, want.final_state), kRelativeRms) << name;
  EXPECT_LE(error_of(got.y.view(), want.y.view()), kWorst) << name;
  EXPECT_TRUE(got.y.gaps_untouched()) << name;
}

SsdResult oracle_of(const SsdArrays& arrays) {
  const SsdArrays wide = in_double(arrays);
  return oracle(wide.inputs());
}

void expect_right(const SsdArrays& arrays, const std::string& name) {
  expect_near(run_sm90(arrays, 1), oracle_of(arrays), name);
}

std::vector<SsdCase> sm90_cases() {
  constexpr int64_t lengths[] = {1, 63, 64, 65, 130, 321};
  std::vector<SsdCase> cases;
  for (const auto& row : pairwise({6, 2, 2, 3, 3, 2, 2, 2, 2, 2, 3, 2})) {
    SsdCase one;
    one.dtype = DType::bf16;
    one.head_dim = 64;
    one.length = lengths[row[0]];
    one.width = row[1] ? 128 : 64;
    one.groups = row[2] + 1;
    one.heads_a_group = row[3] + 1;
    one.skip = static_cast<SkipKind>(row[4]);
    one.gate = row[5], one.bias = row[6], one.limits = row[7], one.initial = row[8];
    one.softplus = row[9];
    one.documents = static_cast<Documents>(row[10]);
    one.gap = row[11] ? 8 : 0;
    cases.push_back(one);
  }
  return cases;
}

SsdCase plain_case(int64_t length, int64_t heads = 2) {
  SsdCase one;
  one.dtype = DType::bf16;
  one.head_dim = 64, one.width = 128, one.length = length, one.heads_a_group = heads;
  return one;
}

TEST(SsdForwardSm90, AgreesWithTheOracle) {
  ADDER_NEEDS_DEVICE();
  for (const SsdCase& one : sm90_cases()) expect_right(make_inputs(one), one.name());
}

TEST(SsdForwardSm90, ManyChunks) {
  ADDER_NEEDS_DEVICE();
  SsdCase one = plain_case(64 * 7 + 5, 3);
  expect_right(make_inputs(one), one.name());
  one.gate = true;
  expect_right(make_inputs(one), one.name());
}

TEST(SsdForwardSm90, SegmentsAgree) {
  ADDER_NEEDS_DEVICE();
  SsdCase one = plain_case(64 * 9 + 7, 3);
  for (const Documents documents : {Documents::kNone, Documents::kPacked, Documents::kPadded}) {
    one.documents = documents;
    const SsdArrays arrays = make_inputs(one);
    const SsdResult want = oracle_of(arrays);
    for (const int64_t segments : {1, 2, 3, 8, 32})
      expect_near(run_sm90(arrays, segments), want, one.name() + " in " + std::to_string(segments));
  }
}

TEST(SsdForwardSm90, APrefixIsPassedToTheBit) {
  ADDER_NEEDS_DEVICE();
  for (const int64_t heads : {1, 3}) {
    SsdCase one = plain_case(64 * 9 + 7, heads);
    for (const Documents documents : {Documents::kNone, Documents::kPacked, Documents::kPadded}) {
      one.documents = documents, one.gate = documents == Documents::kPacked;
      const SsdArrays arrays = make_inputs(one);
      const SsdResult want = run_sm90(arrays, 1);
      expect_near(want, oracle_of(arrays), one.name());
      for (const int64_t prefix : {1, 2, 5, 9}) {
        const SsdResult got = run_sm90(arrays, 0, prefix);
        EXPECT_TRUE(got.y.same_bytes(want.y)) << one.name() << " prefix " << prefix;
        EXPECT_TRUE(got.final_state.same_bytes(want.final_state)) << one.name() << prefix;
      }
    }
  }
}

/// Delta of token t and head h as `delta(t, h)` says, A = -1; no D x hides what the state gives.
void compare_with_steps(const std::function<double(int64_t, int64_t)>& delta, bool initial,
                        const std::string& name) {
  SsdCase one = plain_case(330, 2);
  one.batch = 1, one.softplus = one.bias = false, one.initial = initial;
  one.skip = SkipKind::kNone;
  SsdArrays arrays = make_inputs(one);
  arrays.dt = Array<3>(DType::f32, {1, one.length, one.heads()});
  for (int64_t i = 0; i < count_of(arrays.dt.view()); ++i)
    set_at(arrays.dt.view(), i, delta(i / one.heads(), i % one.heads()));
  for (int64_t h = 0; h < one.heads(); ++h) set_at(arrays.A.view(), h, -1);
  const SsdResult want = oracle_of(arrays);
  for (const int64_t segments : {1, 2, 3}) expect_near(run_sm90(arrays, segments), want, name);
  expect_near(run_sm90(arrays, 0, 2), want, name + " prefix");
}

TEST(SsdForwardSm90, AnyDecayOfAChunk) {
  ADDER_NEEDS_DEVICE();
  // The sum of 63 decays of a chunk: by pairs beyond 120.
  for (const double total : {1e-6, 1.0, 43.0, 69.0, 90.0, 119.9, 120.1, 238.0, 400.0, 64e3})
    for (const int heads : {1, 2, 3}) {  // bits: which of the two
      const auto delta = [=](int64_t, int64_t h) { return heads >> h & 1 ? total / 63 : 0.01; };
      const std::string name = "decay " + std::to_string(total) + " of " + std::to_string(heads);
      compare_with_steps(delta, false, name);
      compare_with_steps(delta, true, name);
    }
}

TEST(SsdForwardSm90, DecaysInFewTokens) {
  ADDER_NEEDS_DEVICE();
  for (const double width : {60., 69., 70., 95., 119.9, 120.1, 200., 2000.}) {
    const std::string name = "width " + std::to_string(width);
    const auto at = [=](auto strong) {
      return [=](int64_t t, int64_t h) { return strong(t % 64, h) ? width / 7.01 : 0.003; };
    };
    compare_with_steps(at([](int64_t t, int64_t h) { return h == 1 && t < 8; }), true, name);
    compare_with_steps(at([](int64_t t, int64_t) { return t > 55; }), true, name);
    compare_with_steps(at([](int64_t t, int64_t h) { return h == 0 && t == 20; }), true, name);
    compare_with_steps(at([](int64_t t, int64_t h) { return t == 40 + 2 * h; }), true, name);
  }
}

TEST(SsdForwardSm90, KindsOfChunksByTurns) {
  ADDER_NEEDS_DEVICE();
  for (const int period : {2, 3, 5})
    compare_with_steps(
        [=](int64_t t, int64_t h) { return (t / 64 + h) % period == 0 ? 5.0 : 0.02; }, true,
        "period " + std::to_string(period));
}

TEST(SsdForwardSm90, PaddingIsNeverRead) {
  ADDER_NEEDS_DEVICE();
  for (const bool gate : {false, true}) {
    SsdCase one = plain_case(64 * 9 + 7, 3);
    one.batch = 1, one.gate = gate, one.documents = Documents::kPadded;
    const SsdArrays clean = make_inputs(one), dirty = make_inputs(one);
    poison_padding(dirty.inputs());
    for (const int64_t segments : {1, 2, 4}) {
      const SsdResult a = run_sm90(clean, segments), b = run_sm90(dirty, segments);
      EXPECT_TRUE(a.y.same_bytes(b.y)) << segments;
      EXPECT_TRUE(a.final_state.same_bytes(b.final_state)) << segments;
    }
    const SsdResult a = run_sm90(clean, 0, 4), b = run_sm90(dirty, 0, 4);
    EXPECT_TRUE(a.y.same_bytes(b.y) && a.final_state.same_bytes(b.final_state));
  }
}

TEST(SsdForwardSm90, SameBitsEachTime) {
  ADDER_NEEDS_DEVICE();
  SsdArrays arrays = make_inputs(plain_case(1000, 3));
  set_at(arrays.A.view(), 1, -60);            // by pairs
  for (const int64_t segments : {0, 1, 4}) {  // 0: what is planned, in two parts
    const SsdResult first = run_sm90(arrays, segments);
    for (int i = 0; i < 5; ++i) {
      const SsdResult again = run_sm90(arrays, segments);
      EXPECT_TRUE(again.y.same_bytes(first.y));
      EXPECT_TRUE(again.final_state.same_bytes(first.final_state));
    }
  }
}

}  // namespace
}  // namespace adder::kernels::testing
