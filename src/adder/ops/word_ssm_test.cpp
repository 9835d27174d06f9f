// The word_ssm operator as LibTorch sees it: against an independent token loop in plain tensors
// with LibTorch's own autograd, finite differences, pieces against the whole, packed against
// separate, strides, meta tensors, and its errors. The kernels' grid is in kernels/.
#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;
using c10::IValue;

/// q, k, v, decay, weight, bias, initial_state.
std::vector<Tensor> make_word(int64_t batch, int64_t length, int64_t columns, int64_t width,
                              int64_t outputs, at::ScalarType type = at::kDouble) {
  const auto wide = type == at::kDouble ? at::kDouble : at::kFloat;
  return {random_tensor({batch, length, columns}, 1, type),
          random_tensor({batch, length, columns}, 2, type),
          random_tensor({batch, length, width}, 3, type),
          random_tensor({columns}, 4, wide).sigmoid(),
          random_tensor({outputs, columns * width}, 5, type) * 0.1,
          random_tensor({outputs}, 6, type),
          random_tensor({batch, columns, width}, 7, wide)};
}

std::vector<Tensor> run_packed(const std::vector<Tensor>& in, const IValue& seq_idx) {
  return call("word_ssm", {in[0], in[1], in[2], in[3], in[4], in[5], in[6], seq_idx});
}
std::vector<Tensor> run_word(const std::vector<Tensor>& in) {
  return run_packed(in, IValue());
}

/// The recurrence of ys-71m 6.1 token by token in plain tensors. The state is kept as v k^T, the
/// other way round, so that its layout is not the kernel's.
std::vector<Tensor> word_loop(const std::vector<Tensor>& in) {
  Tensor state = in[6].transpose(1, 2);  // (batch, width, columns)
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < in[0].size(1); ++t) {
    state = state * in[3] + in[2].select(1, t).unsqueeze(2) * in[1].select(1, t).unsqueeze(1);
    const Tensor reads = (state * in[0].select(1, t).unsqueeze(1)).transpose(1, 2).flatten(1);
    rows.push_back(at::linear(reads, in[4], in[5]));
  }
  return {at::stack(rows, 1), state.transpose(1, 2)};
}

/// Tokens [begin, end), after `state`.
std::vector<Tensor> piece_of(const std::vector<Tensor>& in, int64_t begin, int64_t end,
                             const Tensor& state) {
  auto piece = in;
  for (size_t i : {0, 1, 2}) piece[i] = in[i].narrow(1, begin, end - begin);
  piece[6] = state;
  return piece;
}

void expect_near(const std::vector<Tensor>& ours, const std::vector<Tensor>& theirs,
                 double tolerance) {
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i)
    EXPECT_LT(relative_error(ours[i], theirs[i]), tolerance) << "number " << i;
}

TEST(WordSsmOp, EqualsTheTokenLoopInDouble) {
  const auto inputs = make_word(2, 37, 6, 5, 4);
  expect_near(run_word(inputs), word_loop(inputs), 1e-12);
  expect_near(gradients_of(run_word, inputs), gradients_of(word_loop, inputs), 1e-10);
}

TEST(WordSsmOp, FloatEqualsTheTokenLoop) {
  for (const auto& inputs : {make_word(2, 50, 21, 70, 9), make_word(3, 1, 8, 64, 16)}) {
    const auto narrow = cast(inputs, at::kFloat);
    expect_near(run_word(narrow), word_loop(inputs), 1e-5);
    expect_near(gradients_of(run_word, narrow), gradients_of(word_loop, inputs), 1e-4);
  }
}

TEST(WordSsmOp, ManyBlocksAreOne) {
  // 2100 tokens of a width of 1030 take more than one block of columns.
  const auto inputs = make_word(525, 4, 5, 1030, 3);
  const auto narrow = cast(inputs, at::kFloat);
  expect_near(run_word(narrow), word_loop(inputs), 1e-5);
  expect_near(gradients_of(run_word, narrow), gradients_of(word_loop, inputs), 1e-4);
}

TEST(WordSsmOp, GradientsEqualFiniteDifferences) {
  EXPECT_LT(gradient_error(run_word, make_word(2, 7, 3, 4, 5)), 1e-6);
}

TEST(WordSsmOp, EachOutputAloneHasItsGradient) {
  const auto inputs = make_word(2, 9, 6, 5, 3);
  for (const size_t which : {0, 1}) {
    const auto one = [which](const auto& function) {
      return [which, function](const std::vector<Tensor>& in) {
        // The other output's inputs stay in the graph, with a gradient of zero.
        Tensor zero = at::zeros({}, at::kDouble);
        for (const Tensor& tensor : in) zero = zero + tensor.sum() * 0;
        return std::vector<Tensor>{function(in)[which] + zero};
      };
    };
    const auto ours = gradients_of(one(run_word), inputs);
    const auto theirs = gradients_of(one(word_loop), inputs);
    for (size_t i = 0; i < inputs.size(); ++i)
      EXPECT_LT((ours[i] - theirs[i]).abs().max().item<double>(), 1e-10) << "input " << i;
  }
}

TEST(WordSsmOp, OptionalArgumentsMayBeLeftOut) {
  auto inputs = make_word(2, 12, 6, 5, 3);
  const auto bare = call("word_ssm", {inputs[0], inputs[1], inputs[2], inputs[3], inputs[4],
                                      IValue(), IValue(), IValue()});
  inputs[5] = at::zeros_like(inputs[5]);
  inputs[6] = at::zeros_like(inputs[6]);
  expect_near(bare, word_loop(inputs), 1e-12);
}

TEST(WordSsmOp, PiecesMakeTheWhole) {
  const auto inputs = make_word(2, 127, 9, 66, 8, at::kFloat);
  // As functions, so that gradients also cross from piece to piece through the state.
  const auto pieces = [](const std::vector<Tensor>& in) {
    std::vector<Tensor> parts;
    Tensor state = in[6];
    int64_t begin = 0;
    for (const int64_t length : {1, 50, 63, 1, 12}) {
      const auto out = run_word(piece_of(in, begin, begin + length, state));
      parts.push_back(out[0]);
      state = out[1];
      begin += length;
    }
    return std::vector<Tensor>{at::cat(parts, 1), state};
  };
  const auto whole = run_word(inputs), joined = pieces(inputs);
  EXPECT_LT(relative_error(joined[0], whole[0]), 1e-5);
  EXPECT_TRUE(at::equal(joined[1], whole[1]));  // an element of the state sees the same operations
  expect_near(gradients_of(pieces, inputs), gradients_of(run_word, inputs), 1e-4);
}

TEST(WordSsmOp, PackedDocumentsAreSeparate) {
  const auto inputs = make_word(1, 40, 6, 20, 4);
  // Padding, the first token's document, another with padding inside it, an id that comes back.
  const std::vector<int64_t> ids = {-1, 2, 2, 2, 7, 7, 7, 7, 7, -1, -1, 2, 2};
  std::vector<int> row(40, 5);
  for (size_t t = 0; t < ids.size(); ++t) row[t] = int(ids[t]);
  row[39] = -3;
  const Tensor seq_idx = at::tensor(row, at::kInt).view({1, 40});
  const auto packed = [&](const std::vector<Tensor>& in) { return run_packed(in, seq_idx); };
  const auto separate = [&](const std::vector<Tensor>& in) {
    const Tensor none = at::zeros_like(in[6]);
    const auto zeros = [](int64_t count) { return at::zeros({1, count, 4}, at::kDouble); };
    const auto run = [&](int64_t begin, int64_t end) {
      return word_loop(piece_of(in, begin, end, none));
    };
    const auto last = run(13, 39);
    return std::vector<Tensor>{
        at::cat({zeros(1), run(1, 4)[0], run(4, 9)[0], zeros(2), run(11, 13)[0], last[0], zeros(1)},
                1),
        last[1]};
  };
  expect_near(packed(inputs), separate(inputs), 1e-12);
  // The initial state goes nowhere here; give the oracle a gradient of zero for it.
  const auto with_zero = [&](const std::vector<Tensor>& in) {
    auto out = separate(in);
    out[0] = out[0] + in[6].sum() * 0;
    return out;
  };
  const auto ours = gradients_of(packed, inputs), theirs = gradients_of(with_zero, inputs);
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_LT((ours[i] - theirs[i]).abs().max().item<double>(), 1e-10) << "input " << i;
  // The same in floats, with NaN in the padding of inputs and gradients.
  auto narrow = cast(inputs, at::kFloat);
  for (const size_t i : {0, 1, 2}) narrow[i].select(1, 9).fill_(NAN);
  const auto got = gradients_of(
      [&](const std::vector<Tensor>& in) {
        auto out = packed(in);
        return std::vector<Tensor>{out[0].masked_fill(seq_idx.lt(0).unsqueeze(2), 0), out[1]};
      },
      narrow);
  expect_near({packed(narrow)[0], packed(narrow)[1]}, separate(inputs), 1e-5);
  for (const size_t i : {0, 1, 2, 3, 4, 5})
    EXPECT_LT(relative_error(got[i], theirs[i]), 1e-4) << "input " << i;
}

TEST(WordSsmOp, TheFirstDocumentOwnsTheInitialState) {
  const auto inputs = make_word(1, 6, 3, 4, 2);
  const Tensor seq_idx = at::tensor({4, 4, 4, 5, 5, 5}, at::kInt).view({1, 6});
  const auto got = run_packed(inputs, seq_idx);
  const auto first = word_loop(piece_of(inputs, 0, 3, inputs[6]));
  EXPECT_LT(relative_error(got[0].narrow(1, 0, 3), first[0]), 1e-12);
}

TEST(WordSsmOp, TakesSlicesOfProjections) {
  auto inputs = make_word(2, 20, 8, 32, 5, at::kFloat);
  const auto dense = run_word(inputs);
  const auto dense_gradients = gradients_of(run_word, inputs);
  const Tensor both = at::cat({inputs[0], inputs[1], inputs[2]}, 2);
  inputs[0] = both.narrow(2, 0, 8), inputs[1] = both.narrow(2, 8, 8);
  inputs[2] = both.narrow(2, 16, 32).transpose(1, 2).contiguous().transpose(1, 2);
  inputs[4] = inputs[4].t().contiguous().t();
  inputs[6] = inputs[6].transpose(1, 2).contiguous().transpose(1, 2);
  const auto strided = run_word(inputs);
  expect_near(strided, dense, 1e-6);
  expect_near(gradients_of(run_word, inputs), dense_gradients, 1e-5);
}

TEST(WordSsmOp, Bfloat16RoundsInputsReadsAndOutput) {
  const auto narrow = make_word(2, 70, 12, 40, 24, at::kBFloat16);
  const auto ours = run_word(narrow), theirs = word_loop(cast(narrow, at::kDouble));
  EXPECT_EQ(ours[0].scalar_type(), at::kBFloat16);
  EXPECT_EQ(ours[1].scalar_type(), at::kFloat);
  // Rounding each of many reads averages out; the output's own rounding is what is left.
  EXPECT_LT(relative_error(ours[0], theirs[0]), 1.0 / 128);
  EXPECT_LT(relative_error(ours[1], theirs[1]), 1e-5);  // the state is never rounded
  const auto gradients = gradients_of(run_word, narrow);
  const auto exact = gradients_of(word_loop, cast(narrow, at::kDouble));
  for (size_t i = 0; i < narrow.size(); ++i) {
    EXPECT_EQ(gradients[i].scalar_type(), narrow[i].scalar_type());
    EXPECT_LT(relative_error(gradients[i], exact[i]), 1.0 / 64) << "input " << i;
  }
}

TEST(WordSsmOp, TheWeightMayStayWide) {
  auto narrow = make_word(2, 33, 12, 40, 24, at::kBFloat16);
  narrow[4] = narrow[4].to(at::kFloat), narrow[5] = narrow[5].to(at::kFloat);
  const auto wide = gradients_of(run_word, narrow);
  const auto out = run_word(narrow);
  EXPECT_EQ(out[0].scalar_type(), at::kBFloat16);
  EXPECT_EQ(wide[4].scalar_type(), at::kFloat);
  const auto exact = gradients_of(word_loop, cast(narrow, at::kDouble));
  for (const size_t i : {4, 5}) EXPECT_LT(relative_error(wide[i], exact[i]), 1.0 / 64) << i;
}

TEST(WordSsmOp, ThreadsDoNotChangeABit) {
  const int before = at::get_num_threads();
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    const auto inputs = make_word(3, 90, 20, 100, 40, type);
    at::set_num_threads(1);
    const auto one = run_word(inputs), one_gradients = gradients_of(run_word, inputs);
    at::set_num_threads(2);
    const auto two = run_word(inputs), two_gradients = gradients_of(run_word, inputs);
    for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], two[i])) << i;
    for (size_t i = 0; i < inputs.size(); ++i)
      EXPECT_TRUE(at::equal(one_gradients[i], two_gradients[i])) << "input " << i;
  }
  at::set_num_threads(before);
}

TEST(WordSsmOp, InfersShapesOnMetaTensors) {
  std::vector<Tensor> meta;
  for (const Tensor& tensor : make_word(2, 5, 8, 16, 12, at::kBFloat16))
    meta.push_back(tensor.to(at::kMeta));
  const auto out = run_word(meta);
  EXPECT_EQ(out[0].sizes(), at::IntArrayRef({2, 5, 12}));
  EXPECT_EQ(out[0].scalar_type(), at::kBFloat16);
  EXPECT_EQ(out[1].sizes(), at::IntArrayRef({2, 8, 16}));
  EXPECT_EQ(out[1].scalar_type(), at::kFloat);
}

TEST(WordSsmOp, ErrorsNameTheArgument) {
  const auto good = make_word(2, 5, 8, 16, 12, at::kFloat);
  const auto expect = [&](size_t which, const Tensor& bad, const char* part) {
    auto inputs = good;
    inputs[which] = bad;
    try {
      run_word(inputs);
      FAIL() << "no error for " << part;
    } catch (const c10::Error& error) {
      EXPECT_NE(error.msg().find(part), std::string::npos) << error.msg();
    }
  };
  expect(1, good[1].narrow(1, 0, 4), "word_ssm: k has shape [2, 4, 8], expected [2, 5, 8]");
  expect(2, good[2].narrow(0, 0, 1), "word_ssm: v has shape");
  expect(3, good[3].narrow(0, 0, 7), "word_ssm: decay has shape");
  expect(3, good[3].to(at::kDouble), "word_ssm: decay is");
  expect(4, good[4].narrow(1, 0, 100), "word_ssm: weight has shape [12, 100], expected [*, 128]");
  expect(4, good[4].to(at::kBFloat16), "word_ssm: weight must have");
  expect(5, good[5].narrow(0, 0, 3), "word_ssm: bias has shape");
  expect(6, good[6].transpose(1, 2), "word_ssm: initial_state has shape");
}

}  // namespace
}  // namespace adder::ops
