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

SsdCase on(at::DeviceType device, const SsdCase& c) {
  const auto move = [&](const Tensor& tensor) { return tensor.to(device); };
  return {move(c.x), move(c.dt),      move(c.A),
          move(c.B), move(c.C),       move(c.D),
          move(c.z), move(c.dt_bias), move(c.initial_state)};
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

class SsdOp : public OnEachDevice {};
class SsdUpdateOp : public OnEachDevice {};
ADDER_ON_EACH_DEVICE(SsdOp);
ADDER_ON_EACH_DEVICE(SsdUpdateOp);

const std::vector<size_t> kWide = {2, 5, 7, 8};  // A, D, dt_bias, initial_state

TEST_P(SsdOp, EqualsTheTokenLoopWithItsGradients) {
  expect_equal(GetParam(), run_on, token_loop, inputs_of(make_case(2, 37, 4, 3, 2, 5)), kWide);
  expect_equal(GetParam(), run_on, token_loop, inputs_of(make_case(2, 130, 4, 16, 2, 32)), kWide);
  expect_equal(GetParam(), run_on, token_loop, inputs_of(make_case(1, 70, 2, 64, 1, 128)), kWide);
}

TEST_P(SsdOp, PackedDocumentsEqualSeparateOnes) {
  const int64_t lengths[] = {5, 70, 1, 24};
  std::vector<Tensor> ids;
  for (const int64_t length : lengths)
    ids.push_back(at::full({1, length}, static_cast<int>(ids.size()) % 2, at::kInt));
  const Tensor seq_idx = at::cat(ids, 1);
  expect_equal(
      GetParam(),
      [&](const std::vector<Tensor>& in) {
        return call_ssd(in[0], in[1], in[2], in[3], in[4], in[5], in[6], in[7], in[8],
                        here(seq_idx));
      },
      [&](const std::vector<Tensor>& in) -> std::vector<Tensor> {
        std::vector<Tensor> rows;
        Tensor state = in[8];
        for (int64_t i = 0, begin = 0; i < 4; begin += lengths[i++]) {
          std::vector<Tensor> part = in;
          for (const size_t sequence : {0, 1, 3, 4, 6})
            part[sequence] = in[sequence].narrow(1, begin, lengths[i]);
          part[8] = state;
          const auto out = token_loop(part);
          rows.push_back(out[0]);
          state = i < 3 ? at::zeros_like(out[1]) : out[1];
        }
        return {at::cat(rows, 1), state};
      },
      inputs_of(make_case(1, 100, 4, 16, 2, 32)), kWide);
}

/// As the mixer calls it: x, B and C are slices of the convolution's rows, z and dt of the
/// projection's.
TEST_P(SsdOp, TakesSlicesOfAMatrix) {
  const int64_t batch = 2, length = 70, heads = 2, head_dim = 64, state = 128;
  const int64_t inner = heads * head_dim;
  const auto sliced = [&](const std::vector<Tensor>& in) {
    const auto slice = [&](const Tensor& rows, int64_t begin, std::vector<int64_t> sizes) {
      const int64_t width = sizes.back() * (sizes.size() > 1 ? sizes[0] : 1);
      return rows.narrow(2, begin, width).unflatten(2, sizes);
    };
    return call_ssd(slice(in[0], 0, {heads, head_dim}), in[1].narrow(2, inner + 1, heads), in[2],
                    slice(in[0], inner, {1, state}), slice(in[0], inner + state, {1, state}), in[3],
                    slice(in[1], 0, {heads, head_dim}), std::nullopt, std::nullopt, std::nullopt);
  };
  const auto dense = [&](const std::vector<Tensor>& in) {
    const auto part = in[0].split({inner, state, state}, 2);
    const auto z = in[1].narrow(2, 0, inner), dt = in[1].narrow(2, inner + 1, heads);
    return token_loop({part[0].unflatten(2, {heads, head_dim}), dt, in[2], part[1].unsqueeze(2),
                       part[2].unsqueeze(2), in[3], z.unflatten(2, {heads, head_dim}),
                       at::zeros({heads}, in[2].options()),
                       at::zeros({batch, heads, head_dim, state}, in[2].options())});
  };
  expect_equal(GetParam(), sliced, dense,
               {random_tensor({batch, length, inner + 2 * state}, 1),
                random_tensor({batch, length, inner + 1 + heads}, 2),
                -random_tensor({heads}, 3).abs() - 0.1, random_tensor({heads}, 4)},
               {2, 3});
}

TEST(SsdOpOnTheCpu, GradientsEqualFiniteDifferences) {
  EXPECT_LT(gradient_error(run_on, inputs_of(make_case(1, 9, 2, 3, 1, 4))), 1e-6);
}

TEST_P(SsdOp, TakesAnyStrides) {
  SsdCase c = on(GetParam(), make_case(2, 20, 4, 8, 2, 16, at::kFloat));
  const auto dense = run(c);
  c.x = c.x.transpose(2, 3).contiguous().transpose(2, 3);       // head_dim not contiguous
  c.B = at::cat({c.B, c.B}, 1).narrow(1, 0, 20);                // a slice
  c.C = at::stack({c.C, c.C}, 0).transpose(0, 1).select(1, 1);  // wide batch stride
  c.dt = c.dt.transpose(1, 2).contiguous().transpose(1, 2);
  const auto strided = run(c);
  for (size_t i = 0; i < 2; ++i) {
    if (on_cpu())
      EXPECT_TRUE(at::equal(dense[i], strided[i]));
    else  // another kernel may take them
      EXPECT_LT(relative_error(strided[i], dense[i]), 1e-5);
  }
}

TEST_P(SsdOp, Bfloat16RoundsOnlyItsInputsAndOutput) {
  const SsdCase narrow = on(GetParam(), make_case(1, 70, 2, 32, 1, 64, at::kBFloat16));
  std::vector<Tensor> exact;
  for (const Tensor& input : inputs_of(narrow)) exact.push_back(input.to(at::kCPU, at::kDouble));
  const auto ours = run(narrow), theirs = token_loop(exact);
  EXPECT_EQ(ours[0].scalar_type(), at::kBFloat16);
  EXPECT_EQ(ours[1].scalar_type(), at::kFloat);
  // Half an ulp of the output is 2^-9; operands of the products inside may be rounded once more.
  EXPECT_LT(relative_error(ours[0], theirs[0]), 1.0 / 128);
  EXPECT_LT(relative_error(ours[1], theirs[1]), 1.0 / 128);
}

TEST(SsdOpOnTheCpu, InfersShapesOnMetaTensors) {
  const SsdCase c = make_case(2, 5, 4, 8, 2, 16, at::kFloat);
  const auto meta = [](const Tensor& t) { return t.to(at::kMeta); };
  const auto out = call_ssd(meta(c.x), meta(c.dt), meta(c.A), meta(c.B), meta(c.C), std::nullopt,
                            std::nullopt, std::nullopt, std::nullopt, std::nullopt);
  EXPECT_EQ(out[0].sizes(), c.x.sizes());
  EXPECT_EQ(out[1].sizes(), at::IntArrayRef({2, 4, 8, 16}));
}

TEST(SsdOpOnTheCpu, ErrorsNameTheArgument) {
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

TEST_P(SsdUpdateOp, StepsEqualTheSequence) {
  const SsdCase c = on(GetParam(), make_case(2, 11, 4, 8, 2, 16, at::kFloat));
  const auto whole = run(c);
  Tensor pool = at::zeros({3, 4, 8, 16}, c.initial_state.options());
  pool.narrow(0, 1, 2).copy_(c.initial_state);
  const Tensor slots = here(at::tensor({1, 2}, at::kInt));
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
