// The selective_scan operator as LibTorch sees it: against an independent token loop in plain
// tensors with LibTorch's own autograd, finite differences, strides, meta tensors, and its errors.
// The kernels' grid is in kernels/.
#include <gtest/gtest.h>

#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;

/// u, delta, A, B, C, D, z, delta_bias, initial_state.
std::vector<Tensor> make_scan(int64_t batch, int64_t length, int64_t channels, int64_t groups,
                              int64_t state, at::ScalarType type = at::kDouble) {
  const auto wide = type == at::kDouble ? at::kDouble : at::kFloat;
  return {random_tensor({batch, length, channels}, 1, type),
          random_tensor({batch, length, channels}, 2, type),
          -random_tensor({channels, state}, 3, wide).abs() - 0.1,
          random_tensor({batch, length, groups, state}, 4, type),
          random_tensor({batch, length, groups, state}, 5, type),
          random_tensor({channels}, 6, wide),
          random_tensor({batch, length, channels}, 7, type),
          random_tensor({channels}, 8, wide),
          random_tensor({batch, channels, state}, 9, wide)};
}

std::vector<Tensor> run_scan(const std::vector<Tensor>& in) {
  return call("selective_scan",
              {in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7], true, in[8], c10::IValue()});
}

/// The recurrence of mamba-core 1.3, token by token, in plain tensors.
std::vector<Tensor> scan_loop(const std::vector<Tensor>& in) {
  const Tensor &u = in[0], &A = in[2];
  const int64_t repeat = u.size(2) / in[3].size(2);
  const Tensor B = in[3].repeat_interleave(repeat, 2), C = in[4].repeat_interleave(repeat, 2);
  const Tensor delta = at::softplus(in[1] + in[7]);  // (batch, length, channels)
  Tensor state = in[8];
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < u.size(1); ++t) {
    const Tensor d = delta.select(1, t).unsqueeze(-1);
    state = (d * A).exp() * state + d * u.select(1, t).unsqueeze(-1) * B.select(1, t);
    rows.push_back((state * C.select(1, t)).sum(-1));
  }
  return {(at::stack(rows, 1) + in[5] * u) * at::silu(in[6]), state};
}

TEST(SelectiveScanOp, EqualsTheTokenLoopInDouble) {
  const auto inputs = make_scan(2, 37, 12, 2, 5);
  const auto ours = run_scan(inputs), theirs = scan_loop(inputs);
  EXPECT_LT(relative_error(ours[0], theirs[0]), 1e-12);
  EXPECT_LT(relative_error(ours[1], theirs[1]), 1e-12);
}

TEST(SelectiveScanOp, GradientsEqualAutogradThroughTheTokenLoop) {
  const auto inputs = make_scan(2, 37, 12, 2, 5);
  const auto ours = gradients_of(run_scan, inputs), theirs = gradients_of(scan_loop, inputs);
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_LT(relative_error(ours[i], theirs[i]), 1e-10) << "input " << i;
}

TEST(SelectiveScanOp, FloatGradientsEqualAutogradThroughTheTokenLoop) {
  const auto inputs = make_scan(2, 130, 40, 2, 16);
  const auto narrow = cast(inputs, at::kFloat);
  const auto ours = gradients_of(run_scan, narrow), theirs = gradients_of(scan_loop, inputs);
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_LT(relative_error(ours[i], theirs[i]), 1e-4) << "input " << i;
  EXPECT_LT(relative_error(run_scan(narrow)[0], scan_loop(inputs)[0]), 1e-5);
}

TEST(SelectiveScanOp, GradientsEqualFiniteDifferences) {
  EXPECT_LT(gradient_error(run_scan, make_scan(1, 9, 6, 2, 3)), 1e-6);
}

TEST(SelectiveScanOp, EachOutputAloneHasItsGradient) {
  const auto inputs = make_scan(2, 9, 6, 1, 3);
  for (const size_t which : {0, 1}) {
    const auto one = [which](const auto& function) {
      return [which, function](const std::vector<Tensor>& in) {
        // The other output's inputs stay in the graph, with a gradient of zero.
        auto out = function(in);
        Tensor zero = out[which].sum() * 0;
        for (const Tensor& tensor : in) zero = zero + tensor.sum() * 0;
        return std::vector<Tensor>{out[which] + zero};
      };
    };
    const auto ours = gradients_of(one(run_scan), inputs);
    const auto theirs = gradients_of(one(scan_loop), inputs);
    for (size_t i = 0; i < inputs.size(); ++i)
      EXPECT_LT((ours[i] - theirs[i]).abs().max().item<double>(), 1e-10) << "input " << i;
  }
}

TEST(SelectiveScanOp, TakesSlicesOfProjections) {
  auto inputs = make_scan(2, 20, 8, 2, 16, at::kFloat);
  const auto dense = run_scan(inputs);
  inputs[0] = at::cat({inputs[0], inputs[6]}, 2).narrow(2, 0, 8);
  inputs[6] = at::cat({inputs[0], inputs[6]}, 2).narrow(2, 8, 8);
  const Tensor both = at::cat({inputs[3].flatten(2), inputs[4].flatten(2)}, 2);
  inputs[3] = both.narrow(2, 0, 32).unflatten(2, {2, 16});
  inputs[4] = both.narrow(2, 32, 32).unflatten(2, {2, 16});
  inputs[1] = inputs[1].transpose(1, 2).contiguous().transpose(1, 2);  // channels not contiguous
  inputs[2] = inputs[2].t().contiguous().t();
  const auto strided = run_scan(inputs);
  EXPECT_TRUE(at::equal(dense[0], strided[0]));
  EXPECT_TRUE(at::equal(dense[1], strided[1]));
}

TEST(SelectiveScanOp, Bfloat16RoundsOnlyItsInputsAndOutput) {
  const auto narrow = make_scan(1, 70, 24, 1, 16, at::kBFloat16);
  const auto ours = run_scan(narrow), theirs = scan_loop(cast(narrow, at::kDouble));
  EXPECT_EQ(ours[0].scalar_type(), at::kBFloat16);
  EXPECT_EQ(ours[1].scalar_type(), at::kFloat);
  EXPECT_LT(relative_error(ours[0], theirs[0]), 1.0 / 256);  // half an ulp of the output
  EXPECT_LT(relative_error(ours[1], theirs[1]), 1e-5);       // the state is never rounded
}

TEST(SelectiveScanOp, DeltaMayBeWiderThanU) {
  auto inputs = make_scan(1, 40, 24, 1, 16, at::kBFloat16);
  inputs[1] = random_tensor({1, 40, 24}, 2, at::kFloat);
  const auto exact = cast(inputs, at::kDouble);
  EXPECT_LT(relative_error(run_scan(inputs)[1], scan_loop(exact)[1]), 1e-5);
  const auto ours = gradients_of(run_scan, inputs), theirs = gradients_of(scan_loop, exact);
  EXPECT_EQ(ours[1].scalar_type(), at::kFloat);
  EXPECT_LT(relative_error(ours[1], theirs[1]), 1.0 / 64);  // what reaches it is bf16
}

TEST(SelectiveScanOp, InfersShapesOnMetaTensors) {
  std::vector<Tensor> meta;
  for (const Tensor& tensor : make_scan(2, 5, 8, 2, 16, at::kFloat))
    meta.push_back(tensor.to(at::kMeta));
  const auto out = run_scan(meta);
  EXPECT_EQ(out[0].sizes(), meta[0].sizes());
  EXPECT_EQ(out[1].sizes(), at::IntArrayRef({2, 8, 16}));
}

TEST(SelectiveScanOp, ErrorsNameTheArgument) {
  const auto good = make_scan(2, 5, 8, 2, 16, at::kFloat);
  const auto message = [&](size_t which, const Tensor& bad) -> std::string {
    auto inputs = good;
    inputs[which] = bad;
    try {
      run_scan(inputs);
    } catch (const c10::Error& error) {
      return error.msg();
    }
    return "";
  };
  const auto expect = [](const std::string& text, const char* part) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  expect(message(1, good[1].narrow(1, 0, 4)),
         "selective_scan: delta has shape [2, 4, 8], expected [2, 5, 8]");
  expect(message(2, good[2].t()), "selective_scan: A has shape");
  expect(message(2, good[2].to(at::kDouble)), "selective_scan: A ");
  expect(message(8, good[8].narrow(2, 0, 3)), "selective_scan: initial_state has shape");
  expect(message(3, at::zeros({2, 5, 3, 16})), "selective_scan: C has shape");
}

TEST(SelectiveScanUpdateOp, StepsEqualTheSequence) {
  const auto in = make_scan(2, 11, 24, 2, 16, at::kFloat);
  const auto whole = run_scan(in);
  Tensor pool = at::zeros({3, 24, 16}, at::kFloat);
  pool.narrow(0, 1, 2).copy_(in[8]);
  const Tensor slots = at::tensor({1, 2}, at::kInt);
  for (int64_t t = 0; t < in[0].size(1); ++t) {
    const auto at = [&](size_t i) { return in[i].select(1, t); };
    const auto y = call("selective_scan_update", {pool, at(0), at(1), in[2], at(3), at(4), in[5],
                                                  at(6), in[7], true, slots});
    EXPECT_LT(relative_error(y[0], whole[0].select(1, t)), 1e-5) << "token " << t;
  }
  EXPECT_LT(relative_error(pool.narrow(0, 1, 2), whole[1]), 1e-5);
  EXPECT_EQ(pool.select(0, 0).abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace adder::ops
