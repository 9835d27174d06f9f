#include "adder/kernels/cuda/ssd_kernels.h"
#include "adder/kernels/cuda/test_device.h"
#include "adder/kernels/ref/ssd_parts.h"
#include "adder/kernels/test_ssd_cases.h"

namespace adder::kernels::testing {
namespace {

/// bf16 operands of the tensor cores, fp32 sums: relative to the largest value of a gradient.
constexpr double kBf16 = 6e-3;
/// Root mean square of the errors over that of the values.
constexpr double kBf16Rms = 5e-3;
/// Of the gradients of A and dt_bias, few numbers that are sums of many terms of both signs: what
/// the terms were rounded by stays when they cancel. 1.5 times what RoundedStates leave, below.
constexpr double kBf16SumsOfA = 1.68e-2, kBf16SumsOfBias = 7.4e-3;

using Backward = DeviceAnswer (*)(const SsdInputs&, const SsdGradients&, const DeviceWork&);

SsdInputs on_device(OnDevice& device, SsdInputs in) {
  in.x = device(in.x), in.dt = device(in.dt), in.A = device(in.A), in.B = device(in.B);
  in.C = device(in.C), in.D = device(in.D), in.z = device(in.z);
  in.dt_bias = device(in.dt_bias), in.initial_state = device(in.initial_state);
  in.seq_idx = device(in.seq_idx);
  return in;
}

SsdGradients on_device(OnDevice& device, SsdGradients g) {
  g.grad_y = device(g.grad_y), g.grad_final_state = device(g.grad_final_state);
  g.grad_x = device(g.grad_x), g.grad_dt = device(g.grad_dt), g.grad_A = device(g.grad_A);
  g.grad_B = device(g.grad_B), g.grad_C = device(g.grad_C), g.grad_D = device(g.grad_D);
  g.grad_z = device(g.grad_z), g.grad_dt_bias = device(g.grad_dt_bias);
  g.grad_initial_state = device(g.grad_initial_state);
  return g;
}

/// `grads` is filled through `views`, which may leave some of it out.
void run_backward(const SsdInputs& in, const SsdGradients& views,
                  Backward backward = cuda::ssd_backward) {
  OnDevice device;
  const TestWork work;
  const char* wrong = backward(on_device(device, in), on_device(device, views), work);
  ASSERT_EQ(wrong, nullptr) << wrong;
  device.fetch();
}

SsdGradArrays filled(const SsdInputs& in, SsdGradArrays grads) {
  run_backward(in, grads.gradients());
  return grads;
}

/// Rows that the tensor core kernels take: `gap` is a multiple of 8.
SsdGradArrays aligned_gradients(const SsdInputs& in, bool final, int64_t gap) {
  SsdGradArrays grads = make_gradients(in, final);
  const auto again = [&](Array<4>& array) {
    const Array<4> old = array;
    array = Array<4>(old.view().dtype, old.view().size, gap);
    for (int64_t i = 0; i < count_of(old.view()); ++i)
      set_at(array.view(), i, value_at(old.view(), i));
  };
  again(grads.grad_y), again(grads.x), again(grads.B), again(grads.C);
  return grads;
}

SsdGradArrays oracle_backward(const SsdInputs& in_double, SsdGradArrays grads) {
  ref::ssd_backward<double>(in_double, grads.gradients());
  return grads;
}

template <int Rank>
double rms_of(const Array<Rank>& got, const Array<Rank>& want) {
  double error = 0, value = 1e-60;
  for (int64_t i = 0; want.view().given() && i < count_of(want.view()); ++i) {
    const double a = value_at(got.view(), i), b = value_at(want.view(), i);
    error += (a - b) * (a - b), value += b * b;
  }
  const double ratio = std::sqrt(error / value);
  return std::isnan(ratio) ? std::numeric_limits<double>::infinity() : ratio;
}

/// S before and G after each chunk of 64 tokens as a reference in bf16 has them: sums in fp32,
/// rounded where they are stored, of terms that are rounded once they are weighted.
class RoundedStates {
 public:
  /// Inputs in double.
  RoundedStates(const SsdInputs& in, const SsdGradArrays& grads) : in_(in) {
    const int64_t chunks = (in.x.size[1] + kTokens - 1) / kTokens;
    const std::array<int64_t, 4> size = {in.x.size[0], in.x.size[2], in.x.size[3], in.B.size[3]};
    before_.assign(chunks, Array<4>(DType::f64, size));
    after_ = before_;
    for (int64_t b = 0; b < size[0]; ++b)
      for (int64_t h = 0; h < size[1]; ++h) {
        std::vector<float> S = ref::first_state<float>(in, b, h), G(S.size(), 0.f);
        const int64_t first = (b * size[1] + h) * std::ssize(S);
        for (int64_t i = 0; i < std::ssize(G) && grads.grad_final_state.view().given(); ++i)
          G[i] = static_cast<float>(value_at(grads.grad_final_state.view(), first + i));
        for (int64_t chunk = 0; chunk < chunks; ++chunk) {
          if (ref::begins_document(in, b, chunk * kTokens)) std::fill(S.begin(), S.end(), 0.f);
          store(S, before_[chunk], first);
          pass(b, h, chunk, false, in.x, in.B, S);
        }
        for (int64_t chunk = chunks - 1; chunk >= 0; --chunk) {
          store(G, after_[chunk], first);
          pass(b, h, chunk, true, grads.grad_y, in.C, G);
        }
      }
  }

  /// The gradients of A and dt_bias that follow, all else exact.
  SsdGradArrays sums(const SsdGradArrays& like) const {
    SsdGradArrays total;
    total.A = f64_like(like.A.view()), total.dt_bias = f64_like(like.dt_bias.view());
    total.A.fill_with(0);
    if (total.dt_bias.view().given()) total.dt_bias.fill_with(0);
    for (int64_t chunk = 0; chunk < std::ssize(before_); ++chunk) {
      const int64_t begin = chunk * kTokens, end = std::min(begin + kTokens, in_.x.size[1]);
      SsdInputs in = tokens(in_, begin, end);
      in.initial_state = before_[chunk];
      in.seq_idx = tokens(in_.seq_idx, begin, end);
      SsdGradArrays part = total;
      SsdGradients grads;
      grads.grad_y = tokens(like.grad_y.view(), begin, end);
      grads.grad_final_state = after_[chunk];
      grads.grad_A = part.A, grads.grad_dt_bias = part.dt_bias;
      ref::ssd_backward<double>(in, grads);
      const auto add = [](const View<1>& to, const View<1>& from) {
        for (int64_t i = 0; to.given() && i < to.size[0]; ++i)
          set_at(to, i, value_at(to, i) + value_at(from, i));
      };
      add(total.A, part.A), add(total.dt_bias, part.dt_bias);
    }
    return total;
  }

 private:
  static constexpr int64_t kTokens = 64;

  static float rounded(double value) {
    const Array<1> one(DType::bf16, {1});
    set_at(one.view(), 0, value);
    return static_cast<float>(value_at(one.view(), 0));
  }
  static void store(const std::vector<float>& state, const Array<4>& to, int64_t first) {
    for (int64_t i = 0; i < std::ssize(state); ++i) set_at(to.view(), first + i, rounded(state[i]));
  }

  /// state <- decay state + the sum over the chunk of rounded(weight y) (outer) k
  void pass(int64_t b, int64_t h, int64_t chunk, bool backwards, const View<4>& y, const View<4>& k,
            std::vector<float>& state) const {
    const int64_t begin = chunk * kTokens, end = std::min(begin + kTokens, in_.x.size[1]);
    const int64_t width = k.size[3], g = h / (in_.x.size[2] / k.size[2]);
    std::vector<float> sum(state.size(), 0.f);
    double decay = 1;  // of what lies between a token and where the walk goes
    for (int64_t i = 0; i < end - begin; ++i) {
      const int64_t t = backwards ? begin + i : end - 1 - i;
      if (ref::is_padding(in_, b, t)) continue;
      const double delta = ref::step_size<double>(in_, b, t, h).value, before = decay;
      decay *= std::exp(delta * ref::get<double>(in_.A, h));
      if (ref::begins_document(in_, b, t)) decay = 0;
      const double weight = backwards ? decay : before * delta;
      for (int64_t p = 0; p < y.size[3]; ++p) {
        const float term = rounded(weight * ref::get<double>(y, b, t, h, p));
        for (int64_t n = 0; n < width; ++n)
          sum[p * width + n] += term * ref::get<float>(k, b, t, g, n);
      }
    }
    for (size_t i = 0; i < state.size(); ++i)
      state[i] = static_cast<float>(decay) * state[i] + sum[i];
  }

  const SsdInputs& in_;
  std::vector<Array<4>> before_, after_;
};

void expect_close(SsdGradArrays got, SsdGradArrays want) {
  EXPECT_LE(error_of(got.A.view(), want.A.view()), kBf16SumsOfA) << "grad_A";
  EXPECT_LE(error_of(got.dt_bias.view(), want.dt_bias.view()), kBf16SumsOfBias) << "grad_dt_bias";
  got.A = got.dt_bias = want.A = want.dt_bias = {};
  expect_near(got, want, kBf16);
  const double limit = kBf16Rms;
  EXPECT_LE(rms_of(got.x, want.x), limit) << "grad_x";
  EXPECT_LE(rms_of(got.dt, want.dt), limit) << "grad_dt";
  EXPECT_LE(rms_of(got.B, want.B), limit) << "grad_B";
  EXPECT_LE(rms_of(got.C, want.C), limit) << "grad_C";
  EXPECT_LE(rms_of(got.D, want.D), limit) << "grad_D";
  EXPECT_LE(rms_of(got.initial_state, want.initial_state), limit) << "grad_initial";
}

std::vector<SsdCase> tensor_core_cases() {
  constexpr int64_t lengths[] = {1, 2, 63, 64, 65, 127, 128, 129, 1000};
  std::vector<SsdCase> cases;
  for (const auto& row : pairwise({9, 2, 2, 2, 2, 3, 2, 2, 2, 2, 2, 3, 2})) {
    SsdCase one;
    one.length = lengths[row[0]];
    one.head_dim = row[1] ? 64 : 32;
    one.width = row[2] ? 128 : 64;
    one.groups = row[3] + 1;
    one.heads_a_group = row[4] ? 3 : 1;
    one.dtype = DType::bf16;
    one.skip = static_cast<SkipKind>(row[5]);
    one.bias = row[6];
    one.limits = row[7];
    one.initial = row[8];
    one.final = row[9];
    one.softplus = row[10];
    one.documents = static_cast<Documents>(row[11]);
    one.gap = row[12] ? 8 : 0;
    one.batch = one.length == 1000 ? 1 : 2;
    cases.push_back(one);
  }
  return cases;
}

bool takes(const SsdInputs& in, const SsdGradients& grads) {
  return cuda::takes_backward_mma(in, grads);
}

class SsdBackwardCudaCases : public ::testing::TestWithParam<SsdCase> {};

TEST_P(SsdBackwardCudaCases, AgreeWithTheOracle) {
  ADDER_NEEDS_DEVICE();
  const SsdCase& one = GetParam();
  SCOPED_TRACE(one.name());
  const SsdArrays arrays = make_inputs(one), wide = in_double(arrays);
  const SsdGradArrays grads = aligned_gradients(arrays.inputs(), one.final, one.gap);
  EXPECT_TRUE(takes(arrays.inputs(), grads.gradients()));
  const SsdGradArrays want = oracle_backward(wide.inputs(), in_double(grads));
  const SsdGradArrays got = filled(arrays.inputs(), grads);
  expect_close(got, want);
  for (const Array<4>* rows : {&got.x, &got.B, &got.C}) EXPECT_TRUE(rows->gaps_untouched());
}
/// kBf16SumsOfA and kBf16SumsOfBias are 1.5 times the largest errors that rounding the states alone
/// leaves in these cases.
TEST(SsdBackwardCuda, BoundsOfTheSumsAreThoseOfRoundedStates) {
  double of_A = 0, of_bias = 0;
  for (const SsdCase& one : tensor_core_cases()) {
    const SsdArrays arrays = make_inputs(one), wide = in_double(arrays);
    const SsdGradArrays grads = in_double(aligned_gradients(arrays.inputs(), one.final, one.gap));
    const SsdInputs in = wide.inputs();
    const SsdGradArrays want = oracle_backward(in, grads);
    const SsdGradArrays rounded = RoundedStates(in, grads).sums(grads);
    of_A = std::max(of_A, error_of(rounded.A.view(), want.A.view()));
    of_bias = std::max(of_bias, error_of(rounded.dt_bias.view(), want.dt_bias.view()));
  }
  EXPECT_NEAR(kBf16SumsOfA, 1.5 * of_A, 1e-4);
  EXPECT_NEAR(kBf16SumsOfBias, 1.5 * of_bias, 1e-4);
}

INSTANTIATE_TEST_SUITE_P(TensorCores, SsdBackwardCudaCases,
                         ::testing::ValuesIn(tensor_core_cases()),
                         [](const auto& info) { return std::to_string(info.index); });

TEST(SsdBackwardCuda, OutputsMayBeLeftOut) {
  ADDER_NEEDS_DEVICE();
  const SsdArrays arrays =
      make_inputs({.length = 140, .head_dim = 64, .width = 128, .dtype = DType::bf16});
  const SsdGradArrays all = aligned_gradients(arrays.inputs(), true, 0);
  const SsdGradArrays want = filled(arrays.inputs(), all);
  const auto alone = [&](auto member, auto array) {
    SsdGradArrays one = all;
    SsdGradients some;
    some.grad_y = one.grad_y;
    some.grad_final_state = one.grad_final_state;
    some.*member = (one.*array).view();
    run_backward(arrays.inputs(), some);
    EXPECT_TRUE((one.*array).same_bytes(want.*array));
  };
  alone(&SsdGradients::grad_x, &SsdGradArrays::x);
  alone(&SsdGradients::grad_dt, &SsdGradArrays::dt);
  alone(&SsdGradients::grad_A, &SsdGradArrays::A);
  alone(&SsdGradients::grad_B, &SsdGradArrays::B);
  alone(&SsdGradients::grad_C, &SsdGradArrays::C);
  alone(&SsdGradients::grad_D, &SsdGradArrays::D);
  alone(&SsdGradients::grad_dt_bias, &SsdGradArrays::dt_bias);
  alone(&SsdGradients::grad_initial_state, &SsdGradArrays::initial_state);
}

TEST(SsdBackwardCuda, DocumentsMayBeginAnywhere) {
  ADDER_NEEDS_DEVICE();
  const SsdArrays arrays = make_inputs({.batch = 64,
                                        .length = 130,
                                        .heads_a_group = 1,
                                        .head_dim = 32,
                                        .width = 64,
                                        .dtype = DType::bf16});
  Array<2> seq_idx(DType::i32, {64, 130});
  for (int64_t b = 0; b < 64; ++b)  // row b: documents begin at b and b + 64
    for (int64_t t = 0; t < 130; ++t) set_at(seq_idx.view(), b * 130 + t, (t >= b) + (t >= b + 64));
  SsdInputs in = arrays.inputs(), wide = in_double(arrays).inputs();
  const SsdArrays wide_arrays = in_double(arrays);
  wide = wide_arrays.inputs();
  in.seq_idx = wide.seq_idx = seq_idx;
  const SsdGradArrays grads = aligned_gradients(in, true, 0);
  const SsdGradArrays want = oracle_backward(wide, in_double(grads)), got = filled(in, grads);
  expect_close(got, want);
}

TEST(SsdBackwardCuda, PaddingGivesAndGetsNothing) {
  ADDER_NEEDS_DEVICE();
  const SsdCase one = {.batch = 1,
                       .length = 140,
                       .head_dim = 64,
                       .width = 128,
                       .dtype = DType::bf16,
                       .documents = Documents::kPadded};
  const SsdArrays clean = make_inputs(one), dirty = make_inputs(one);
  SsdGradArrays grads = aligned_gradients(clean.inputs(), true, 0), dirty_grads = grads;
  poison_padding(dirty.inputs());
  poison_padding(dirty.seq_idx.view(), dirty_grads.grad_y.view());
  grads = filled(clean.inputs(), grads);
  dirty_grads = filled(dirty.inputs(), dirty_grads);
  expect_same_bytes(grads, dirty_grads);
  EXPECT_EQ(value_at(grads.x.view(), 0), 0);  // token 0 is padding
  EXPECT_EQ(value_at(grads.dt.view(), 0), 0);
  EXPECT_EQ(value_at(grads.B.view(), 0), 0);
}

TEST(SsdBackwardCuda, ExtremeDecays) {
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
                          {-3, 0, 0.5},
                          {-2, 0.9, 0.9}}) {
    SCOPED_TRACE("A " + std::to_string(e.A) + " dt " + std::to_string(e.dt_odd));
    const SsdArrays arrays = make_inputs({.length = 130,
                                          .head_dim = 64,
                                          .width = 128,
                                          .dtype = DType::bf16,
                                          .bias = false,
                                          .softplus = e.dt_even >= 20});
    for (int64_t i = 0; i < 2; ++i) set_at(arrays.A.view(), i, e.A);
    for (int64_t i = 0; i < count_of(arrays.dt.view()); ++i)
      set_at(arrays.dt.view(), i, i / 2 % 2 ? e.dt_odd : e.dt_even);
    const SsdArrays wide = in_double(arrays);
    const SsdGradArrays grads = aligned_gradients(arrays.inputs(), true, 0);
    const SsdGradArrays want = oracle_backward(wide.inputs(), in_double(grads));
    const SsdGradArrays got = filled(arrays.inputs(), grads);
    expect_close(got, want);
  }
}

TEST(SsdBackwardCuda, SameBitsEveryTime) {
  ADDER_NEEDS_DEVICE();
  for (const int64_t length : {200, 3000}) {
    const SsdArrays arrays = make_inputs({.length = length,
                                          .groups = 2,
                                          .heads_a_group = 5,
                                          .head_dim = 64,
                                          .width = 128,
                                          .dtype = DType::bf16,
                                          .skip = SkipKind::kChannel});
    const SsdGradArrays grads = aligned_gradients(arrays.inputs(), true, 0);
    const SsdGradArrays first = filled(arrays.inputs(), grads);
    for (int i = 0; i < 3; ++i) expect_same_bytes(first, filled(arrays.inputs(), grads));
  }
}

}  // namespace
}  // namespace adder::kernels::testing
