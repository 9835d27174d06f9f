#include "adder/kernels/test_selective_scan_cases.h"

namespace adder::kernels::testing {

std::string ScanCase::name() const {
  constexpr const char* kinds[] = {"", " packed", " padded"};
  return "L" + std::to_string(length) + " G" + std::to_string(groups) + "x" +
         std::to_string(group_channels) + " N" + std::to_string(width) + " " +
         std::string(to_string(dtype)) + (other_delta ? " other-delta" : "") + (skip ? " D" : "") +
         (gate ? " z" : "") + (bias ? " bias" : "") + (initial ? " initial" : "") +
         (last ? " last" : "") + (softplus ? "" : " plain-delta") + kinds[int(documents)] +
         (gap ? " strided" : "");
}

std::vector<ScanCase> scan_cases() {
  constexpr int64_t lengths[] = {1, 2, 31, 32, 33, 100}, channels[] = {24, 1, 16, 65, 130};
  constexpr int64_t widths[] = {16, 1, 7, 64};
  std::vector<ScanCase> cases;
  for (const auto& row : pairwise({6, 5, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2})) {
    ScanCase one;
    one.length = lengths[row[0]];
    one.group_channels = channels[row[1]];
    one.width = widths[row[2]];
    one.groups = row[3] ? 3 : 1;
    one.dtype = row[4] ? DType::bf16 : DType::f32;
    one.skip = row[5];
    one.gate = row[6];
    one.bias = row[7];
    one.initial = row[8];
    one.last = row[9];
    one.softplus = row[10];
    one.other_delta = row[11];
    one.documents = static_cast<ScanDocuments>(row[12]);
    one.gap = row[13] ? 5 : 0;
    cases.push_back(one);
  }
  return cases;
}

SelectiveScanInputs ScanArrays::inputs() const {
  SelectiveScanInputs in;
  in.u = u, in.delta = delta, in.A = A, in.B = B, in.C = C, in.D = D, in.z = z;
  in.delta_bias = delta_bias, in.initial_state = initial_state, in.seq_idx = seq_idx;
  in.delta_softplus = delta_softplus;
  return in;
}

namespace {

/// Documents of uneven lengths, some ending near multiples of 32, ids not unique; row 0 may begin
/// and end in padding, with more of it inside.
void fill_documents(const View<2>& seq_idx, bool padded) {
  constexpr int64_t ends[] = {1, 7, 20, 30, 31, 32, 33, 34, 50, 63, 64, 65, 97};
  for (int64_t b = 0; b < seq_idx.size[0]; ++b) {
    int64_t id = 3;
    for (int64_t t = 0; t < seq_idx.size[1]; ++t) {
      for (int64_t k = b; k < std::ssize(ends); k += 2)
        if (t == ends[k]) id = (id + 1) % 4;
      const bool hole = padded && b == 0 && (t < 2 || (t >= 25 && t < 32) || t == 70 || t > 96);
      set_at(seq_idx, b * seq_idx.size[1] + t, static_cast<double>(hole ? -1 - t % 2 : id));
    }
  }
}

}  // namespace

ScanArrays make_inputs(const ScanCase& what, uint64_t seed) {
  Rng rng(seed, stream_of("selective_scan"));
  ScanArrays a;
  const int64_t b = what.batch, l = what.length, c = what.channels(), g = what.groups;
  a.u = Array<3>(what.dtype, {b, l, c}, what.gap).fill(rng);
  const DType other = what.dtype == DType::f32 ? DType::bf16 : DType::f32;
  a.delta = Array<3>(what.other_delta ? other : what.dtype, {b, l, c}, what.gap);
  a.delta.fill(rng, 1, -1.5);
  if (what.bias) a.delta_bias = Array<1>(DType::f32, {c}).fill(rng, 0.5);
  if (!what.softplus) {  // a step is positive
    const auto make_step = [](const auto& view) {
      for (int64_t i = 0; i < count_of(view); ++i)
        set_at(view, i, 0.1 * std::abs(value_at(view, i)));
    };
    make_step(a.delta.view());
    if (what.bias) make_step(a.delta_bias.view());
  }
  a.A = Array<2>(DType::f32, {c, what.width});
  for (int64_t i = 0; i < count_of(a.A.view()); ++i) set_at(a.A.view(), i, -std::exp(rng.normal()));
  a.B = Array<4>(what.dtype, {b, l, g, what.width}, what.gap).fill(rng, 0.5);
  a.C = Array<4>(what.dtype, {b, l, g, what.width}, what.gap).fill(rng, 0.5);
  if (what.skip) a.D = Array<1>(DType::f32, {c}).fill(rng);
  if (what.gate) a.z = Array<3>(what.dtype, {b, l, c}, what.gap).fill(rng);
  if (what.initial) a.initial_state = Array<3>(DType::f32, {b, c, what.width}).fill(rng);
  if (what.documents != ScanDocuments::kNone) {
    a.seq_idx = Array<2>(DType::i32, {b, l});
    fill_documents(a.seq_idx, what.documents == ScanDocuments::kPadded);
  }
  a.delta_softplus = what.softplus;
  return a;
}

Array<2> packed_ids() {
  Array<2> ids(DType::i32, {1, 80});
  for (int k = 0; k < 5; ++k)
    for (int64_t t = kScanEnds[k]; t < kScanEnds[k + 1]; ++t) set_at(ids.view(), t, k % 2);
  return ids;
}

ScanArrays make_extreme(const ExtremeSteps& extreme, bool softplus) {
  const ScanArrays arrays = make_inputs({.length = 70, .bias = false, .softplus = softplus});
  for (int64_t i = 0; i < count_of(arrays.A.view()); i += 3) set_at(arrays.A.view(), i, extreme.A);
  for (int64_t i = 0; i < count_of(arrays.delta.view()); ++i)
    set_at(arrays.delta.view(), i, i / 24 % 2 ? extreme.odd : extreme.even);
  return arrays;
}

std::string name(const ExtremeSteps& extreme) {
  return "A " + std::to_string(extreme.A) + " delta " + std::to_string(extreme.even);
}

ScanArrays in_double(const ScanArrays& a) {
  ScanArrays copy;
  const auto wide = [](const auto& array) { return copy_as(DType::f64, array.view()); };
  copy.u = wide(a.u), copy.delta = wide(a.delta), copy.A = wide(a.A), copy.B = wide(a.B);
  copy.C = wide(a.C), copy.D = wide(a.D), copy.z = wide(a.z);
  copy.delta_bias = wide(a.delta_bias), copy.initial_state = wide(a.initial_state);
  copy.seq_idx = a.seq_idx;
  copy.delta_softplus = a.delta_softplus;
  return copy;
}

void poison_padding(const SelectiveScanInputs& in) {
  poison_padding(in.seq_idx, in.u, in.delta, in.B, in.C, in.z);
}

SelectiveScanInputs scan_tokens(const SelectiveScanInputs& in, int64_t begin, int64_t end) {
  SelectiveScanInputs part = in;
  part.u = scan_tokens(in.u, begin, end), part.delta = scan_tokens(in.delta, begin, end);
  part.B = scan_tokens(in.B, begin, end), part.C = scan_tokens(in.C, begin, end);
  part.z = scan_tokens(in.z, begin, end);
  part.initial_state = {};
  part.seq_idx = {};
  return part;
}

ScanResult make_result(const SelectiveScanInputs& in, DType state_dtype) {
  return {Array<3>(in.u.dtype, in.u.size, 3),
          Array<3>(state_dtype, {in.u.size[0], in.u.size[2], in.A.size[1]})};
}

ScanResult run_scan(const SelectiveScanInputs& in, const Parallel& parallel) {
  ScanResult result = make_result(in);
  selective_scan(in, result.outputs(), parallel);
  return result;
}

ScanResult oracle(const SelectiveScanInputs& in) {
  ScanResult result = make_result(in, DType::f64);
  ref::selective_scan<double>(in, result.outputs());
  return result;
}

void expect_near(const ScanResult& got, const ScanResult& want, double tolerance) {
  EXPECT_LE(error_of(got.y.view(), want.y.view()), tolerance) << "y";
  EXPECT_LE(error_of(got.last_state.view(), want.last_state.view()), tolerance) << "last_state";
}

SelectiveScanGradients ScanGradArrays::gradients() const {
  return {grad_y, grad_last_state, u, delta, A, B, C, D, z, delta_bias, initial_state};
}

ScanGradArrays make_gradients(const SelectiveScanInputs& in, bool last, uint64_t seed) {
  Rng rng(seed, stream_of("gradients"));
  ScanGradArrays g;
  const auto like = [](const auto& view, int64_t gap) {
    using Of = Array<std::tuple_size_v<decltype(view.size)>>;
    return view.given() ? Of(view.dtype, view.size, gap) : Of();
  };
  g.grad_y = like(in.u, 2).fill(rng);
  if (last)
    g.grad_last_state = Array<3>(in.A.dtype, {in.u.size[0], in.u.size[2], in.A.size[1]}).fill(rng);
  g.u = like(in.u, 1), g.delta = like(in.delta, 2), g.A = like(in.A, 0);
  g.B = like(in.B, 1), g.C = like(in.C, 0), g.D = like(in.D, 0), g.z = like(in.z, 1);
  g.delta_bias = like(in.delta_bias, 0), g.initial_state = like(in.initial_state, 0);
  return g;
}

ScanGradArrays in_double(const ScanGradArrays& a) {
  ScanGradArrays g;
  g.grad_y = copy_as(DType::f64, a.grad_y.view());
  g.grad_last_state = copy_as(DType::f64, a.grad_last_state.view());
  const auto like = [](const auto& array) { return f64_like(array.view()); };
  g.u = like(a.u), g.delta = like(a.delta), g.A = like(a.A), g.B = like(a.B), g.C = like(a.C);
  g.D = like(a.D), g.z = like(a.z), g.delta_bias = like(a.delta_bias);
  g.initial_state = like(a.initial_state);
  return g;
}

namespace {

/// Calls compare(name, a, b) for each pair of gradients.
template <typename Compare>
void for_gradients(const ScanGradArrays& a, const ScanGradArrays& b, const Compare& compare) {
  compare("grad_u", a.u, b.u), compare("grad_delta", a.delta, b.delta);
  compare("grad_A", a.A, b.A), compare("grad_B", a.B, b.B), compare("grad_C", a.C, b.C);
  compare("grad_D", a.D, b.D), compare("grad_z", a.z, b.z);
  compare("grad_delta_bias", a.delta_bias, b.delta_bias);
  compare("grad_initial_state", a.initial_state, b.initial_state);
}

}  // namespace

void expect_near(const ScanGradArrays& got, const ScanGradArrays& want, double tolerance) {
  for_gradients(got, want, [&](const char* name, const auto& a, const auto& b) {
    EXPECT_LE(error_of(a.view(), b.view()), tolerance) << name;
  });
}

void expect_same_bytes(const ScanGradArrays& a, const ScanGradArrays& b) {
  for_gradients(a, b, [](const char* name, const auto& one, const auto& other) {
    EXPECT_TRUE(one.same_bytes(other)) << name;
  });
}

TEST(ScanCases, CoverEveryPairInFewCases) {
  EXPECT_LE(scan_cases().size(), 60u);
  EXPECT_GE(scan_cases().size(), 30u);  // lengths times channels
}

}  // namespace adder::kernels::testing
