// word_ssm in tokens a second against plain tensors, which keep the reads of every token and
// therefore take fewer sequences at a time. Each side does as large a batch as suits it.
#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "adder/eval/bench_peers.h"
#include "adder/eval/bench_run.h"
#include "adder/nn/operators.h"

namespace adder::eval {
namespace {

struct WordShape {
  const char* name;
  int64_t batch, peer_batch, length, width;  // width: of embedding, state and output
};

/// The arguments of one side; weight and bias are fp32 and shared.
struct WordSide {
  std::vector<Tensor> inputs;  // q k v decay weight bias
  bool plain;

  Tensor forward() const {
    const std::vector<Tensor>& in = inputs;
    if (plain) return plain_word_ssm(in[0], in[1], in[2], in[3], in[4], in[5]).first;
    return std::get<0>(
        nn::word_ssm(in[0], in[1], in[2], in[3], in[4], in[5], std::nullopt, std::nullopt));
  }
  /// Of all but the decay, which YS-71M does not learn.
  void both() const {
    const std::vector<Tensor>& in = inputs;
    const Tensor z = forward();
    torch::autograd::grad({z}, {in[0], in[1], in[2], in[4], in[5]}, {at::ones_like(z)});
  }
  double tokens() const { return double(inputs[0].size(0) * inputs[0].size(1)); }
};

WordSide make_side(const WordShape& s, const Tensor& weight, const Tensor& bias,
                   at::ScalarType type, bool plain) {
  const int64_t batch = plain ? s.peer_batch : s.batch;
  const auto rows = [&] {
    return at::randn({batch, s.length, s.width}).to(type).set_requires_grad(true);
  };
  return {{rows(), rows(), rows(), at::rand({s.width}) * 0.2 + 0.8, weight, bias}, plain};
}

struct Comparison {
  const char* types;
  size_t ours, peer;  // of the sides
  const char* peer_name;
};

void bench_shape(BenchRun& run, const WordShape& s, const std::string& part, double passes) {
  const std::string name = "word_ssm " + part + " " + s.name;
  if (!run.wanted("operator", name)) return;
  const int64_t width = s.width;
  const Tensor weight = (at::randn({width, width * width}) / double(width)).set_requires_grad(true);
  const Tensor bias = at::randn({width}).set_requires_grad(true);
  std::vector<WordSide> sides;
  for (const bool plain : {false, true}) {
    for (const auto type : {at::kFloat, at::kBFloat16})
      sides.push_back(make_side(s, weight, bias, type, plain));
  }
  std::vector<BenchRun::Work> work;
  for (const WordSide& side : sides)
    work.push_back([&side, passes] { passes == 1 ? void(side.forward()) : side.both(); });
  const c10::AutoGradMode with_gradients(passes > 1);
  const std::vector<Spread> seconds = run.time(work);
  const std::string batch = ", batch " + std::to_string(s.peer_batch);
  for (const Comparison& c : {Comparison{" f32", 0, 2, "plain LibTorch f32"},
                              Comparison{" bf16", 1, 2, "plain LibTorch f32"},
                              Comparison{" bf16", 1, 3, "plain LibTorch bf16"}}) {
    const double tokens = sides[c.ours].tokens();
    BenchRow row{"operator",          name + c.types,
                 "tokens/s",          as_rate(seconds[c.ours], tokens),
                 c.peer_name + batch, as_rate(seconds[c.peer], sides[c.peer].tokens())};
    const double flops = passes * 2.0 * double(width * width * width);  // the products' of a token
    row.gflops = flops * row.ours.median / 1e9;
    const bool narrow = c.ours == 1;
    row.limit = narrow ? "bf16 GEMM" : "fp32 GEMM";
    row.share = row.gflops * 1e9 / (narrow ? run.limits().gemm_bf16 : run.limits().gemm_f32);
    run.add(std::move(row));
  }
}

}  // namespace

void bench_word_ssm(BenchRun& run) {
  at::manual_seed(2);
  for (const WordShape& shape : {WordShape{"B64 L20 E64", 64, 64, 20, 64},
                                 WordShape{"71M B64 L128 E368", 64, 4, 128, 368}}) {
    bench_shape(run, shape, "forward", 1);
    bench_shape(run, shape, "fwd+bwd", 3);
  }
}

}  // namespace adder::eval
