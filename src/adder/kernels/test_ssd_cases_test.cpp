#include "adder/kernels/test_ssd_cases.h"

namespace adder::kernels::testing {

std::string SsdCase::name() const {
  constexpr const char* skips[] = {"", " D(head)", " D(channel)"};
  constexpr const char* kinds[] = {"", " packed", " padded"};
  return "L" + std::to_string(length) + " G" + std::to_string(groups) + "x" +
         std::to_string(heads_a_group) + " P" + std::to_string(head_dim) + " N" +
         std::to_string(width) + " " + std::string(to_string(dtype)) + skips[int(skip)] +
         (gate ? " z" : "") + (bias ? " bias" : "") + (limits ? " limits" : "") +
         (initial ? " initial" : "") + (final ? " final" : "") + (softplus ? "" : " plain-dt") +
         kinds[int(documents)] + (gap ? " strided" : "") + " Q" + std::to_string(chunk_size);
}

std::vector<SsdCase> ssd_cases() {
  constexpr int64_t lengths[] = {1, 2, 63, 64, 65, 130}, widths[] = {16, 64, 128};
  constexpr int64_t chunks[] = {64, 1, 100};
  std::vector<SsdCase> cases;
  for (const auto& row : pairwise({6, 2, 3, 2, 2, 2, 3, 2, 2, 2, 2, 2, 2, 3, 2, 3})) {
    SsdCase one;
    one.length = lengths[row[0]];
    one.head_dim = row[1] ? 64 : 32;
    one.width = widths[row[2]];
    one.groups = row[3] + 1;
    one.heads_a_group = row[4] ? 3 : 1;
    one.dtype = row[5] ? DType::bf16 : DType::f32;
    one.skip = static_cast<SkipKind>(row[6]);
    one.gate = row[7];
    one.bias = row[8];
    one.limits = row[9];
    one.initial = row[10];
    one.final = row[11];
    one.softplus = row[12];
    one.documents = static_cast<Documents>(row[13]);
    one.gap = row[14] ? 5 : 0;
    one.chunk_size = chunks[row[15]];
    cases.push_back(one);
  }
  return cases;
}

SsdInputs SsdArrays::inputs() const {
  SsdInputs in = options;
  in.x = x, in.dt = dt, in.A = A, in.B = B, in.C = C, in.D = D, in.z = z;
  in.dt_bias = dt_bias, in.initial_state = initial_state, in.seq_idx = seq_idx;
  return in;
}

namespace {

/// Documents of uneven lengths, some ending near multiples of 64, ids not unique; row 0 may begin
/// and end in padding, with more of it inside.
void fill_documents(const View<2>& seq_idx, bool padded) {
  constexpr int64_t ends[] = {1, 7, 40, 62, 63, 64, 66, 100, 127, 128, 129};
  for (int64_t b = 0; b < seq_idx.size[0]; ++b) {
    int64_t id = 3;
    for (int64_t t = 0; t < seq_idx.size[1]; ++t) {
      for (int64_t k = b; k < std::ssize(ends); k += 2)
        if (t == ends[k]) id = (id + 1) % 4;
      const bool hole = padded && b == 0 && (t < 2 || (t >= 50 && t < 64) || t == 90 || t > 126);
      set_at(seq_idx, b * seq_idx.size[1] + t, static_cast<double>(hole ? -1 - t % 2 : id));
    }
  }
}

}  // namespace

SsdArrays make_inputs(const SsdCase& what, uint64_t seed) {
  Rng rng(seed, stream_of("ssd"));
  SsdArrays a;
  const int64_t b = what.batch, l = what.length, h = what.heads(), g = what.groups;
  a.x = Array<4>(what.dtype, {b, l, h, what.head_dim}, what.gap).fill(rng);
  a.dt = Array<3>(what.dtype, {b, l, h}, what.gap).fill(rng, 1, what.softplus ? -1.5 : 1);
  if (!what.softplus)
    for (int64_t i = 0; i < b * l * h; ++i)
      set_at(a.dt.view(), i, 0.1 * std::abs(value_at(a.dt.view(), i)));
  a.A = Array<1>(DType::f32, {h});
  for (int64_t i = 0; i < h; ++i) set_at(a.A.view(), i, -std::exp(rng.normal()));
  a.B = Array<4>(what.dtype, {b, l, g, what.width}, what.gap).fill(rng, 0.5);
  a.C = Array<4>(what.dtype, {b, l, g, what.width}, what.gap).fill(rng, 0.5);
  if (what.skip != SkipKind::kNone)
    a.D = Array<2>(DType::f32, {h, what.skip == SkipKind::kHead ? 1 : what.head_dim}).fill(rng);
  if (what.gate) a.z = Array<4>(what.dtype, {b, l, h, what.head_dim}, what.gap).fill(rng);
  if (what.bias) a.dt_bias = Array<1>(DType::f32, {h}).fill(rng, 0.5);
  if (what.initial)
    a.initial_state = Array<4>(DType::f32, {b, h, what.head_dim, what.width}).fill(rng);
  if (what.documents != Documents::kNone) {
    a.seq_idx = Array<2>(DType::i32, {b, l});
    fill_documents(a.seq_idx, what.documents == Documents::kPadded);
  }
  a.options.dt_softplus = what.softplus;
  a.options.chunk_size = what.chunk_size;
  if (what.limits) a.options.dt_min = 0.05, a.options.dt_max = 0.4;
  return a;
}

SsdArrays in_double(const SsdArrays& a) {
  SsdArrays copy;
  const auto wide = [](const auto& array) { return copy_as(DType::f64, array.view()); };
  copy.x = wide(a.x), copy.dt = wide(a.dt), copy.A = wide(a.A), copy.B = wide(a.B);
  copy.C = wide(a.C), copy.D = wide(a.D), copy.z = wide(a.z), copy.dt_bias = wide(a.dt_bias);
  copy.initial_state = wide(a.initial_state);
  copy.seq_idx = a.seq_idx;
  copy.options = a.options;
  return copy;
}

void poison_padding(const SsdInputs& in) {
  poison_padding(in.seq_idx, in.x, in.dt, in.B, in.C, in.z);
}

SsdInputs tokens(const SsdInputs& in, int64_t begin, int64_t end) {
  SsdInputs part = in;
  part.x = tokens(in.x, begin, end), part.dt = tokens(in.dt, begin, end);
  part.B = tokens(in.B, begin, end), part.C = tokens(in.C, begin, end);
  part.z = tokens(in.z, begin, end);
  part.initial_state = {};
  part.seq_idx = {};
  return part;
}

SsdUpdate update_of(const SsdInputs& in, const View<4>& state, const View<4>& y, int64_t t) {
  SsdUpdate args;
  args.state = state;
  args.x = at_token(in.x, t), args.dt = at_token(in.dt, t);
  args.B = at_token(in.B, t), args.C = at_token(in.C, t);
  args.z = at_token(in.z, t), args.y = at_token(y, t);
  args.A = in.A, args.D = in.D, args.dt_bias = in.dt_bias;
  args.dt_softplus = in.dt_softplus, args.dt_min = in.dt_min, args.dt_max = in.dt_max;
  return args;
}

SsdResult make_result(const SsdInputs& in, DType state_dtype) {
  const auto [batch, length, heads, head_dim] = in.x.size;
  return {Array<4>(in.x.dtype, in.x.size, 3),
          Array<4>(state_dtype, {batch, heads, head_dim, in.B.size[3]})};
}

SsdResult run_ssd(const SsdInputs& in, const Parallel& parallel) {
  SsdResult result = make_result(in);
  ssd(in, result.outputs(), parallel);
  return result;
}

SsdResult oracle(const SsdInputs& in) {
  SsdResult result = make_result(in, DType::f64);
  ref::ssd<double>(in, result.outputs());
  return result;
}

SsdGradients SsdGradArrays::gradients() const {
  return {grad_y, grad_final_state, x, dt, A, B, C, D, z, dt_bias, initial_state};
}

SsdGradArrays make_gradients(const SsdInputs& in, bool final, uint64_t seed) {
  Rng rng(seed, stream_of("gradients"));
  SsdGradArrays g;
  const auto like = [](const auto& view, int64_t gap) {
    return Array<std::tuple_size_v<decltype(view.size)>>(view.dtype, view.size, gap);
  };
  g.grad_y = like(in.x, 2).fill(rng);
  const std::array<int64_t, 4> state = {in.x.size[0], in.x.size[2], in.x.size[3], in.B.size[3]};
  if (final) g.grad_final_state = Array<4>(in.A.dtype, state).fill(rng);
  g.x = like(in.x, 1), g.dt = like(in.dt, 0), g.A = like(in.A, 0);
  g.B = like(in.B, 1), g.C = like(in.C, 0);
  if (in.D.given()) g.D = like(in.D, 0);
  if (in.z.given()) g.z = like(in.z, 1);
  if (in.dt_bias.given()) g.dt_bias = like(in.dt_bias, 0);
  if (in.initial_state.given()) g.initial_state = like(in.initial_state, 0);
  return g;
}

SsdGradArrays in_double(const SsdGradArrays& a) {
  SsdGradArrays g;
  g.grad_y = copy_as(DType::f64, a.grad_y.view());
  g.grad_final_state = copy_as(DType::f64, a.grad_final_state.view());
  const auto like = [](const auto& array) { return f64_like(array.view()); };
  g.x = like(a.x), g.dt = like(a.dt), g.A = like(a.A), g.B = like(a.B), g.C = like(a.C);
  g.D = like(a.D), g.z = like(a.z), g.dt_bias = like(a.dt_bias);
  g.initial_state = like(a.initial_state);
  return g;
}

void expect_near(const SsdGradArrays& got, const SsdGradArrays& want, double tolerance) {
  EXPECT_LE(error_of(got.x.view(), want.x.view()), tolerance) << "grad_x";
  EXPECT_LE(error_of(got.dt.view(), want.dt.view()), tolerance) << "grad_dt";
  EXPECT_LE(error_of(got.A.view(), want.A.view()), tolerance) << "grad_A";
  EXPECT_LE(error_of(got.B.view(), want.B.view()), tolerance) << "grad_B";
  EXPECT_LE(error_of(got.C.view(), want.C.view()), tolerance) << "grad_C";
  EXPECT_LE(error_of(got.D.view(), want.D.view()), tolerance) << "grad_D";
  EXPECT_LE(error_of(got.z.view(), want.z.view()), tolerance) << "grad_z";
  EXPECT_LE(error_of(got.dt_bias.view(), want.dt_bias.view()), tolerance) << "grad_dt_bias";
  EXPECT_LE(error_of(got.initial_state.view(), want.initial_state.view()), tolerance)
      << "grad_initial";
}

void expect_same_bytes(const SsdGradArrays& a, const SsdGradArrays& b) {
  EXPECT_TRUE(a.x.same_bytes(b.x)) << "grad_x";
  EXPECT_TRUE(a.dt.same_bytes(b.dt)) << "grad_dt";
  EXPECT_TRUE(a.A.same_bytes(b.A)) << "grad_A";
  EXPECT_TRUE(a.B.same_bytes(b.B)) << "grad_B";
  EXPECT_TRUE(a.C.same_bytes(b.C)) << "grad_C";
  EXPECT_TRUE(a.D.same_bytes(b.D)) << "grad_D";
  EXPECT_TRUE(a.z.same_bytes(b.z)) << "grad_z";
  EXPECT_TRUE(a.dt_bias.same_bytes(b.dt_bias)) << "grad_dt_bias";
  EXPECT_TRUE(a.initial_state.same_bytes(b.initial_state)) << "grad_initial";
}

std::vector<Isa> machine_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : kAllIsas)
    if (isa <= best_isa()) isas.push_back(isa);
  return isas;
}

TEST(SsdCases, CoverEveryPairInFewCases) {
  EXPECT_LE(ssd_cases().size(), 60u);
  EXPECT_GE(ssd_cases().size(), 18u);
}

}  // namespace adder::kernels::testing
