// The peers compute what the operators compute: a ratio of times is worth nothing otherwise. (Times
// themselves are never asserted.)
#include "adder/eval/bench.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include "adder/base/error.h"
#include "adder/eval/bench_peers.h"
#include "adder/eval/bench_run.h"
#include "adder/nn/operators.h"

namespace adder::eval {
namespace {

void expect_near(const Tensor& a, const Tensor& b, const char* what) {
  const double scale = std::max(1.0, b.abs().max().item<double>());
  EXPECT_LT((a - b).abs().max().item<double>() / scale, 2e-5) << what;
}

std::vector<Tensor> leaves(std::vector<Tensor> tensors) {
  for (Tensor& tensor : tensors) tensor.set_requires_grad(true);
  return tensors;
}

void expect_same_gradients(const Tensor& ours, const Tensor& peer, const std::vector<Tensor>& in) {
  expect_near(ours, peer, "y");
  const Tensor direction = at::randn_like(ours);
  const auto a = torch::autograd::grad({ours}, in, {direction});
  const auto b = torch::autograd::grad({peer}, in, {direction});
  for (size_t i = 0; i < in.size(); ++i)
    expect_near(a[i], b[i], ("gradient " + std::to_string(i)).c_str());
}

TEST(Peers, TheScanIsTheSame) {
  at::manual_seed(3);
  const auto in = leaves({at::randn({2, 48, 3, 8}), at::randn({2, 48, 3}) - 1,
                          -at::rand({3}) * 3 - 0.2, at::randn({2, 48, 1, 12}),
                          at::randn({2, 48, 1, 12}), at::randn({3}), at::randn({3})});
  const auto [y, state] = nn::ssd(in[0], in[1], in[2], in[3], in[4], in[5], std::nullopt, in[6], {},
                                  std::nullopt, std::nullopt);
  const auto [peer, peer_state] = plain_ssd(in[0], in[1], in[2], in[3], in[4], in[5], in[6], 16);
  expect_near(state, peer_state, "state");
  expect_same_gradients(y, peer, in);
}

TEST(Peers, TheSelectiveScanIsTheSame) {
  at::manual_seed(7);
  const auto in =
      leaves({at::randn({2, 40, 6}), at::randn({2, 40, 6}) - 1, -at::rand({6, 5}) * 3 - 0.2,
              at::randn({2, 40, 1, 5}), at::randn({2, 40, 1, 5}), at::randn({6}), at::randn({6})});
  const auto [y, state] = nn::selective_scan(in[0], in[1], in[2], in[3], in[4], in[5], std::nullopt,
                                             in[6], true, std::nullopt, std::nullopt);
  const auto [peer, peer_state] =
      plain_selective_scan(in[0], in[1], in[2], in[3], in[4], in[5], in[6]);
  expect_near(state, peer_state, "state");
  expect_same_gradients(y, peer, in);
}

TEST(Peers, TheWordScanIsTheSame) {
  at::manual_seed(8);
  const auto in = leaves({at::randn({2, 20, 5}), at::randn({2, 20, 5}), at::randn({2, 20, 7}),
                          at::rand({5}), at::randn({3, 35}) * 0.2, at::randn({3})});
  const auto [z, state] =
      nn::word_ssm(in[0], in[1], in[2], in[3], in[4], in[5], std::nullopt, std::nullopt);
  const auto [peer, peer_state] = plain_word_ssm(in[0], in[1], in[2], in[3], in[4], in[5]);
  expect_near(state, peer_state, "state");
  expect_same_gradients(z, peer, in);
}

TEST(Peers, OneTokenIsTheSame) {
  at::manual_seed(4);
  const Tensor x = at::randn({2, 1, 3, 8}), dt = at::randn({2, 1, 3}), A = -at::rand({3}) - 0.2;
  const Tensor B = at::randn({2, 1, 1, 12}), C = at::randn({2, 1, 1, 12}), D = at::randn({3});
  const Tensor bias = at::randn({3});
  Tensor state = at::randn({2, 3, 8, 12});
  const auto [y, end] = nn::ssd(x, dt, A, B, C, D, std::nullopt, bias, {}, state, std::nullopt);
  const Tensor peer = plain_ssd_update(state, x.select(1, 0), dt.select(1, 0), A, B.select(1, 0),
                                       C.select(1, 0), D, bias);
  expect_near(y.select(1, 0), peer, "y");
  expect_near(end, state, "state");
}

TEST(Peers, ConvolutionAndNormsAreTheSame) {
  at::manual_seed(5);
  const auto conv = leaves({at::randn({2, 20, 6}), at::randn({6, 4}), at::randn({6})});
  expect_same_gradients(
      std::get<0>(nn::causal_conv1d(conv[0], conv[1], conv[2], std::nullopt, std::nullopt, true)),
      plain_causal_conv1d(conv[0], conv[1], conv[2]), conv);
  const auto norm = leaves({at::randn({5, 16}), at::randn({16}), at::randn({5, 16})});
  const auto [y, sum] = nn::rms_norm(norm[0], norm[1], 1e-5, norm[2], true);
  const auto [peer, peer_sum] = plain_rms_norm(norm[0], norm[1], 1e-5, norm[2]);
  expect_same_gradients(y + sum, peer + peer_sum, norm);
  expect_same_gradients(nn::gated_rms_norm(norm[0], norm[1], norm[2], 1e-5, 16, false),
                        plain_gated_rms_norm(norm[0], norm[1], norm[2], 1e-5), norm);
}

TEST(Peers, TheHeadIsTheSame) {
  at::manual_seed(6);
  const auto in = leaves({at::randn({10, 8}), at::randn({30, 8})});
  const Tensor target = at::randint(30, {10}, at::kLong);
  expect_same_gradients(
      std::get<0>(nn::linear_cross_entropy(in[0], in[1], std::nullopt, target, 0, 0, "sum")),
      plain_linear_cross_entropy(in[0], in[1], target), in);
}

TEST(Bench, RowsAreWhole) {
  std::vector<std::string> told;
  const auto rows = run_bench({.repeats = 3, .only = "ssd_update forward B1"},
                              [&](const BenchRow& row) { told.push_back(row.name); });
  ASSERT_EQ(rows.size(), 2u);  // B1 and B16
  ASSERT_EQ(told.size(), 2u);
  for (const BenchRow& row : rows) {
    EXPECT_LE(row.ours.lowest, row.ours.median);
    EXPECT_LE(row.ours.median, row.ours.highest);
    EXPECT_DOUBLE_EQ(row.ratio, row.peer_value.median / row.ours.median);
    EXPECT_NE(bench_line(row).find(row.name), std::string::npos);
  }
  EXPECT_EQ(bench_json(rows).at(0).at("name"), rows[0].name);
}

TEST(Bench, RatesTurnTheSpreadRound) {
  const Spread rate = as_rate({0.5, 0.25, 1.0}, 10);
  EXPECT_EQ(rate.median, 20);
  EXPECT_EQ(rate.lowest, 10);
  EXPECT_EQ(rate.highest, 40);
}

TEST(Bench, AnUnknownRowIsAnError) {
  try {
    run_bench({.repeats = 1, .only = "no such row"});
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
  }
}

}  // namespace
}  // namespace adder::eval
