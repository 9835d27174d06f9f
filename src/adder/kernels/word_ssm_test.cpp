#include "adder/kernels/word_ssm.h"

#include "adder/kernels/ref/word_ssm.h"
#include "adder/kernels/test_support.h"

namespace adder::kernels::testing {
namespace {

enum class Documents { kNone, kPacked, kPadded };

struct Case {
  int64_t batch = 2, length = 33, columns = 6, width = 70;
  DType dtype = DType::f32;
  bool initial = true, last = true, decay = true;
  Documents documents = Documents::kNone;
  int64_t gap = 0;

  std::string name() const {
    return "B" + std::to_string(batch) + " L" + std::to_string(length) + " N" +
           std::to_string(columns) + " E" + std::to_string(width) + " " +
           std::string(to_string(dtype)) + (initial ? " initial" : "") + (last ? " last" : "") +
           (decay ? " decay" : "") + " documents " + std::to_string(int(documents)) +
           (gap ? " strided" : "");
  }
};

std::vector<Case> cases() {
  constexpr int64_t lengths[] = {1, 2, 33, 50}, columns[] = {1, 3, 4, 9};
  // Vectors of 4, 8 and 16 floats, strips of 2 and 4 of them, with and without a rest.
  constexpr int64_t widths[] = {1, 5, 16, 48, 64, 70, 131};
  std::vector<Case> all;
  for (const auto& row : pairwise({7, 4, 4, 3, 2, 2, 2, 2, 2, 2})) {
    Case one;
    one.width = widths[row[0]], one.length = lengths[row[1]], one.columns = columns[row[2]];
    one.documents = static_cast<Documents>(row[3]);
    one.dtype = row[4] ? DType::bf16 : DType::f32;
    one.initial = row[5], one.last = row[6], one.decay = row[7];
    one.gap = row[8] ? 3 : 0;
    one.batch = row[9] ? 1 : 3;
    all.push_back(one);
  }
  return all;
}

/// Every array of one call; outputs are poisoned.
struct Arrays {
  Array<3> q, k, v;
  Array<1> decay;
  Array<3> initial_state;
  Array<2> seq_idx;
  Array<4> reads;
  Array<3> final_state;
  Array<4> grad_reads, reads_again;
  Array<3> grad_final_state, grad_q, grad_k, grad_v;
  Array<1> grad_decay;
  Array<3> grad_initial_state;

  WordSsmInputs inputs() const { return {q, k, v, decay, initial_state, seq_idx}; }
  WordSsmOutputs outputs() const { return {reads, final_state}; }
  WordSsmGradients gradients() const {
    return {grad_reads, grad_final_state, reads_again, grad_q,
            grad_k,     grad_v,           grad_decay,  grad_initial_state};
  }
};

/// Documents of uneven lengths, an id that comes back; with padding before, between and after.
void fill_documents(const View<2>& seq_idx, bool padded) {
  for (int64_t b = 0; b < seq_idx.size[0]; ++b)
    for (int64_t t = 0; t < seq_idx.size[1]; ++t) {
      const int64_t id = t < 5 + b ? 3 : t < 7 ? 4 : t < 20 ? 3 : 9;
      const bool hole = padded && (t < b || (t >= 12 && t < 15) || t == 32);
      set_at(seq_idx, b * seq_idx.size[1] + t, static_cast<double>(hole ? -1 - t % 2 : id));
    }
}

Arrays make(const Case& c) {
  Rng rng(7, stream_of("word_ssm"));
  Arrays a;
  const std::array<int64_t, 3> columns = {c.batch, c.length, c.columns};
  const std::array<int64_t, 3> width = {c.batch, c.length, c.width};
  const std::array<int64_t, 3> state = {c.batch, c.columns, c.width};
  const std::array<int64_t, 4> reads = {c.batch, c.length, c.columns, c.width};
  a.q = Array<3>(c.dtype, columns, c.gap).fill(rng);
  a.k = Array<3>(c.dtype, columns, c.gap).fill(rng);
  a.v = Array<3>(c.dtype, width, c.gap).fill(rng);
  a.decay = Array<1>(DType::f32, {c.columns});
  for (int64_t n = 0; n < c.columns; ++n) set_at(a.decay.view(), n, 1 - 0.3 * double(n % 4));
  if (c.initial) a.initial_state = Array<3>(DType::f32, state, c.gap).fill(rng);
  if (c.documents != Documents::kNone) {
    a.seq_idx = Array<2>(DType::i32, {c.batch, c.length});
    fill_documents(a.seq_idx, c.documents == Documents::kPadded);
  }
  a.reads = Array<4>(c.dtype, reads, c.gap);
  a.final_state = Array<3>(DType::f32, state, c.gap);
  a.grad_reads = Array<4>(c.dtype, reads, c.gap).fill(rng);
  if (c.last) a.grad_final_state = Array<3>(DType::f32, state, c.gap).fill(rng);
  a.reads_again = Array<4>(c.dtype, reads, c.gap);
  a.grad_q = Array<3>(c.dtype, columns, c.gap), a.grad_k = Array<3>(c.dtype, columns, c.gap);
  a.grad_v = Array<3>(DType::f32, width, c.gap).fill(rng);  // it is added to
  if (c.decay) a.grad_decay = Array<1>(DType::f32, {c.columns});
  a.grad_initial_state = Array<3>(DType::f32, state, c.gap);
  return a;
}

/// The oracle's answer in double for the very same values.
Arrays oracle(const Arrays& a) {
  const auto wide = [](const auto& array) { return copy_as(DType::f64, array.view()); };
  Arrays w{.q = wide(a.q),
           .k = wide(a.k),
           .v = wide(a.v),
           .decay = wide(a.decay),
           .initial_state = wide(a.initial_state),
           .seq_idx = a.seq_idx,
           .reads = f64_like(a.reads.view()),
           .final_state = f64_like(a.final_state.view()),
           .grad_reads = wide(a.grad_reads),
           .reads_again = f64_like(a.reads_again.view()),
           .grad_final_state = wide(a.grad_final_state),
           .grad_q = f64_like(a.grad_q.view()),
           .grad_k = f64_like(a.grad_k.view()),
           .grad_v = wide(a.grad_v),
           .grad_decay = f64_like(a.grad_decay.view()),
           .grad_initial_state = f64_like(a.grad_initial_state.view())};
  ref::word_ssm<double>(w.inputs(), w.outputs());
  ref::word_ssm_backward<double>(w.inputs(), w.gradients());
  return w;
}

void run(const Arrays& a, const Parallel& parallel = Serial()) {
  word_ssm(a.inputs(), a.outputs(), parallel);
  word_ssm_backward(a.inputs(), a.gradients(), parallel);
}

void expect_near(const Arrays& got, const Arrays& want) {
  const auto near = [](const auto& a, const auto& b, const char* name) {
    EXPECT_LE(error_of(a.view(), b.view(), 1), 2e-5) << name;
    EXPECT_TRUE(a.gaps_untouched()) << name;
  };
  near(got.reads, want.reads, "reads");
  near(got.final_state, want.final_state, "final state");
  near(got.reads_again, want.reads, "reads of the backward pass");
  near(got.grad_q, want.grad_q, "grad q");
  near(got.grad_k, want.grad_k, "grad k");
  near(got.grad_v, want.grad_v, "grad v");
  near(got.grad_decay, want.grad_decay, "grad decay");
  near(got.grad_initial_state, want.grad_initial_state, "grad initial state");
}

void expect_same_bytes(const Arrays& a, const Arrays& b) {
  EXPECT_TRUE(a.reads.same_bytes(b.reads));
  EXPECT_TRUE(a.final_state.same_bytes(b.final_state));
  EXPECT_TRUE(a.reads_again.same_bytes(b.reads_again));
  EXPECT_TRUE(a.grad_q.same_bytes(b.grad_q));
  EXPECT_TRUE(a.grad_k.same_bytes(b.grad_k));
  EXPECT_TRUE(a.grad_v.same_bytes(b.grad_v));
  EXPECT_TRUE(a.grad_decay.same_bytes(b.grad_decay));
  EXPECT_TRUE(a.grad_initial_state.same_bytes(b.grad_initial_state));
}

TEST(WordSsm, TwoTokensByHand) {
  // Two columns and two places; the columns' decays are a half and 3.
  float q[] = {1, 10, 2, 1}, k[] = {1, 2, 3, 0}, v[] = {1, -1, 2, 4}, decay[] = {0.5, 3};
  float state[] = {4, 8, 1, 0}, reads[8];
  WordSsmInputs in;
  in.q = dense<3>(q, DType::f32, {1, 2, 2});
  in.k = dense<3>(k, DType::f32, {1, 2, 2});
  in.v = dense<3>(v, DType::f32, {1, 2, 2});
  in.decay = dense<1>(decay, DType::f32, {2});
  in.initial_state = dense<3>(state, DType::f32, {1, 2, 2});
  // In place: the final state takes the initial state's memory.
  word_ssm(in, {dense<4>(reads, DType::f32, {1, 2, 2, 2}), in.initial_state}, Serial());
  // States: (2 + 1, 4 - 1 | 3 + 2, 0 - 2), then (1.5 + 6, 1.5 + 12 | 15 + 0, -6 + 0).
  const float want[] = {3, 3, 50, -20, 15, 27, 15, -6}, last[] = {7.5, 13.5, 15, -6};
  for (int i = 0; i < 8; ++i) EXPECT_EQ(reads[i], want[i]) << i;
  for (int i = 0; i < 4; ++i) EXPECT_EQ(state[i], last[i]) << i;
}

TEST(WordSsm, AgreesWithTheOracle) {
  const auto all = cases();
  EXPECT_LE(all.size(), 60u);
  for (const Case& one : all) {
    const Arrays want = oracle(make(one));
    for (const Isa isa : isas()) {
      SCOPED_TRACE(one.name() + " " + std::string(to_string(isa)));
      const IsaScope scope(isa);
      const Arrays got = make(one);
      run(got);
      expect_near(got, want);
    }
  }
}

TEST(WordSsm, ThreadsDoNotChangeAByte) {
  for (const DType dtype : {DType::f32, DType::bf16}) {
    for (const Isa isa : isas()) {
      const IsaScope scope(isa);
      const Case what = {.columns = 9, .width = 200, .dtype = dtype};
      const Arrays one = make(what);
      run(one);
      for (const int threads : {2, 3}) {
        const Arrays many = make(what);
        run(many, OddThreads(threads));
        expect_same_bytes(one, many);
      }
    }
  }
}

TEST(WordSsm, ColumnsMayBeTakenInBlocks) {
  const Arrays whole = make({.columns = 9}), blocks = make({.columns = 9});
  run(whole);
  for (const auto& [begin, end] : {std::pair<int64_t, int64_t>{0, 4}, {4, 5}, {5, 9}}) {
    const auto cut = [&](auto view, int dim) {
      view.data = static_cast<char*>(view.data) + begin * view.stride[dim] * size_of(view.dtype);
      view.size[dim] = end - begin;
      return view;
    };
    WordSsmInputs in = blocks.inputs();
    in.q = cut(in.q, 2), in.k = cut(in.k, 2), in.decay = cut(in.decay, 0);
    in.initial_state = cut(in.initial_state, 1);
    word_ssm(in, {cut(blocks.reads.view(), 2), cut(blocks.final_state.view(), 1)}, Serial());
    WordSsmGradients g = blocks.gradients();
    g.grad_reads = cut(g.grad_reads, 2), g.reads = cut(g.reads, 2);
    g.grad_final_state = cut(g.grad_final_state, 1);
    g.grad_q = cut(g.grad_q, 2), g.grad_k = cut(g.grad_k, 2);
    g.grad_decay = cut(g.grad_decay, 0), g.grad_initial_state = cut(g.grad_initial_state, 1);
    word_ssm_backward(in, g, Serial());
  }
  expect_near(blocks, oracle(make({.columns = 9})));
  EXPECT_TRUE(blocks.reads.same_bytes(whole.reads));
}

TEST(WordSsm, OutputsMayBeLeftOut) {
  const Arrays all = make({}), some = make({});
  run(all);
  WordSsmGradients g = some.gradients();
  g.reads = {}, g.grad_q = {}, g.grad_v = {}, g.grad_initial_state = {};
  word_ssm(some.inputs(), {some.reads, {}}, Serial());
  word_ssm_backward(some.inputs(), g, Serial());
  EXPECT_TRUE(some.reads.same_bytes(all.reads));
  EXPECT_TRUE(some.grad_k.same_bytes(all.grad_k));
  EXPECT_TRUE(some.grad_decay.same_bytes(all.grad_decay));
  EXPECT_FALSE(some.grad_q.same_bytes(all.grad_q));
}

TEST(WordSsm, PaddingIsNeverRead) {
  const Case what = {.documents = Documents::kPadded};
  const Arrays clean = make(what), dirty = make(what);
  for (int64_t t = 0; t < 2 * 33; ++t) {
    if (value_at(dirty.seq_idx.view(), t) >= 0) continue;
    for (int64_t n = 0; n < 6; ++n)
      set_at(dirty.q.view(), t * 6 + n, NAN), set_at(dirty.k.view(), t * 6 + n, NAN);
    for (int64_t i = 0; i < 70; ++i) set_at(dirty.v.view(), t * 70 + i, NAN);
    for (int64_t i = 0; i < 6 * 70; ++i) set_at(dirty.grad_reads.view(), t * 6 * 70 + i, NAN);
  }
  run(clean), run(dirty);
  expect_same_bytes(clean, dirty);
}

TEST(WordSsm, GradientsMatchFiniteDifferences) {
  Arrays a =
      oracle(make({.length = 22, .columns = 3, .width = 4, .documents = Documents::kPadded}));
  a.grad_v.fill_with(0);
  word_ssm_backward(a.inputs(), a.gradients(), Serial());
  const auto loss = [&] {
    word_ssm(a.inputs(), a.outputs(), Serial());
    return dot(a.reads.view(), a.grad_reads.view()) +
           dot(a.final_state.view(), a.grad_final_state.view());
  };
  expect_gradient(loss, a.q.view(), a.grad_q.view(), "q");
  expect_gradient(loss, a.k.view(), a.grad_k.view(), "k");
  expect_gradient(loss, a.v.view(), a.grad_v.view(), "v");
  expect_gradient(loss, a.decay.view(), a.grad_decay.view(), "decay");
  expect_gradient(loss, a.initial_state.view(), a.grad_initial_state.view(), "initial state");
}

}  // namespace
}  // namespace adder::kernels::testing
