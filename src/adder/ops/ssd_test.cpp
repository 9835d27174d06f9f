// The ssd operator as LibTorch sees it: against an independent token loop in plain tensors with
// LibTorch's own autograd, finite differences, strides, meta tensors, and its errors. The kernels'
// grid is in kernels/.
#include <gtest/gtest.h>

#include "adder/ops/test_support.h"

namespace adder::ops {
namespace {

using at::Tensor;

struct SsdCase {
  Tensor x, dt, A, B, C, D, z, dt_bias, initial_state;
};

SsdCase make_case(int64_t batch, int64_t length, int64_t heads, int64_t head_dim, int64_t groups,
                  int64_t state, at::ScalarType type = at::kDouble) {
  const auto wide = type == at::kDouble ? at::kDouble : at::kFloat;
  return {random_tensor({batch, length, heads, head_dim}, 1, type),
          random_tensor({batch, length, heads}, 2, type),
          -random_tensor({heads}, 3, wide).abs() - 0.1,
          random_tensor({batch, length, groups, state}, 4, type),
          random_tensor({batch, length, groups, state}, 5, type),
          random_tensor({heads}, 6, wide),
          random_tensor({batch, length, heads, head_dim}, 7, type),
          random_tensor({heads}, 8, wide),
          random_tensor({batch, heads, head_dim, state}, 9, wide)};
}

std::vector<Tensor> run(const SsdCase& c, int64_t chunk_size = 16) {
  return call_ssd(c.x, c.dt, c.A, c.B, c.C, c.D, c.z, c.dt_bias, c.initial_state, std::nullopt,
                  chunk_size);
}

std::vector<Tensor> inputs_of(const SsdCase& c) {
  return {c.x, c.dt, c.A, c.B, c.C, c.D, c.z, c.dt_bias, c.initial_state};
}

std::vector<Tensor> run_on(const std::vector<Tensor>& in) {
  return run({in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7], in[8]});
}

/// The recurrence of mamba-core 1.5, token by token, in plain tensors.
std::vector<Tensor> token_loop(const std::vector<Tensor>& in) {
  const Tensor &x = in[0], &A = in[2], &D = in[5], &z = in[6];
  const int64_t repeat = x.size(2) / in[3].size(2);
  const Tensor B = in[3].repeat_interleave(repeat, 2), C = in[4].repeat_interleave(repeat, 2);
  const Tensor delta = at::softplus(in[1] + in[7]);  // (batch, length, heads)
  Tensor state = in[8];
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < x.size(1); ++t) {
    const Tensor d = delta.select(1, t);
    const Tensor update =
        (d.unsqueeze(-1) * x.select(1, t)).unsqueeze(-1) * B.select(1, t).unsqueeze(2);
    state = (d * A).exp().unsqueeze(-1).unsqueeze(-1) * state + update;
    rows.push_back((state * C.select(1, t).unsqueeze(2)).sum(-1));
  }
  const Tensor y = at::stack(rows, 1) + D.unsqueeze(-1) * x;
  return {y * at::silu(z), state};
}

TEST(SsdOp, EqualsTheTokenLoopInDouble) {
  const auto inputs = inputs_of(make_case(2, 37, 4, 3, 2, 5));
  const auto ours = run_on(inputs), theirs = token_loop(inputs);
  EXPECT_LT(relative_error(ours[0], theirs[0]), 1e-12);
  EXPECT_LT(relative_error(ours[1], theirs[1]), 1e-12);
}

TEST(SsdOp, GradientsEqualAutogradThroughTheTokenLoop) {
  const auto inputs = inputs_of(make_case(2, 37, 4, 3, 2, 5));
  const auto ours = gradients_of(run_on, inputs), theirs = gradients_of(token_loop, inputs);
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_LT(relative_error(ours[i], theirs[i]), 1e-10) << "input " << i;
}

TEST(SsdOp, FloatGradientsEqualAutogradThroughTheTokenLoop) {
  const auto inputs = inputs_of(make_case(2, 130, 4, 16, 2, 32));
  std::vector<Tensor> narrow;
  for (const Tensor& input : inputs) narrow.push_back(input.to(at::kFloat));
  const auto ours = gradients_of(run_on, narrow), theirs = gradients_of(token_loop, inputs);
  for (size_t i = 0; i < inputs.size(); ++i)
    EXPECT_LT(relative_error(ours[i], theirs[i]), 1e-4) << "input " << i;
  EXPECT_LT(relative_error(run_on(narrow)[0], token_loop(inputs)[0]), 1e-5);
}

TEST(SsdOp, GradientsEqualFiniteDifferences) {
  EXPECT_LT(gradient_error(run_on, inputs_of(make_case(1, 9, 2, 3, 1, 4))), 1e-6);
}

TEST(SsdOp, TakesAnyStrides) {
  SsdCase c = make_case(2, 20, 4, 8, 2, 16, at::kFloat);
  const auto dense = run(c);
  c.x = c.x.transpose(2, 3).contiguous().transpose(2, 3);       // head_dim not contiguous
  c.B = at::cat({c.B, c.B}, 1).narrow(1, 0, 20);                // a slice
  c.C = at::stack({c.C, c.C}, 0).transpose(0, 1).select(1, 1);  // wide batch stride
  c.dt = c.dt.transpose(1, 2).contiguous().transpose(1, 2);
  const auto strided = run(c);
  EXPECT_TRUE(at::equal(dense[0], strided[0]));
  EXPECT_TRUE(at::equal(dense[1], strided[1]));
}

TEST(SsdOp, Bfloat16RoundsOnlyItsInputsAndOutput) {
  const SsdCase narrow = make_case(1, 70, 2, 32, 1, 64, at::kBFloat16);
  std::vector<Tensor> exact;
  for (const Tensor& input : inputs_of(narrow)) exact.push_back(input.to(at::kDouble));
  const auto ours = run(narrow), theirs = token_loop(exact);
  EXPECT_EQ(ours[0].scalar_type(), at::kBFloat16);
  EXPECT_EQ(ours[1].scalar_type(), at::kFloat);
  // Half an ulp of the output is 2^-9; operands of the products inside may be rounded once more.
  EXPECT_LT(relative_error(ours[0], theirs[0]), 1.0 / 128);
  EXPECT_LT(relative_error(ours[1], theirs[1]), 1.0 / 128);
}

TEST(SsdOp, InfersShapesOnMetaTensors) {
  const SsdCase c = make_case(2, 5, 4, 8, 2, 16, at::kFloat);
  const auto meta = [](const Tensor& t) { return t.to(at::kMeta); };
  const auto out = call_ssd(meta(c.x), meta(c.dt), meta(c.A), meta(c.B), meta(c.C), std::nullopt,
                            std::nullopt, std::nullopt, std::nullopt, std::nullopt);
  EXPECT_EQ(out[0].sizes(), c.x.sizes());
  EXPECT_EQ(out[1].sizes(), at::IntArrayRef({2, 4, 8, 16}));
}

TEST(SsdOp, ErrorsNameTheArgument) {
  SsdCase c = make_case(2, 5, 4, 8, 2, 16, at::kFloat);
  c.dt = c.dt.narrow(1, 0, 4);
  try {
    run(c);
    FAIL() << "a short dt was taken";
  } catch (const c10::Error& error) {
    EXPECT_NE(error.msg().find("ssd: dt has shape [2, 4, 4], expected [2, 5, 4]"),
              std::string::npos)
        << error.msg();
  }
}

TEST(SsdUpdateOp, StepsEqualTheSequence) {
  const SsdCase c = make_case(2, 11, 4, 8, 2, 16, at::kFloat);
  const auto whole = run(c);
  Tensor pool = at::zeros({3, 4, 8, 16}, at::kFloat);
  pool.narrow(0, 1, 2).copy_(c.initial_state);
  const Tensor slots = at::tensor({1, 2}, at::kInt);
  for (int64_t t = 0; t < c.x.size(1); ++t) {
    const auto y = call("ssd_update", {pool, c.x.select(1, t), c.dt.select(1, t), c.A,
                                       c.B.select(1, t), c.C.select(1, t), c.D, c.z.select(1, t),
                                       c.dt_bias, true, 0.0, 1e300, slots});
    EXPECT_LT(relative_error(y[0], whole[0].select(1, t)), 1e-5) << "token " << t;
  }
  EXPECT_LT(relative_error(pool.narrow(0, 1, 2), whole[1]), 1e-5);
  EXPECT_EQ(pool.select(0, 0).abs().max().item<float>(), 0);
}

}  // namespace
}  // namespace adder::ops
