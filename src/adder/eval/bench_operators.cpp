// Each operator against the same in plain LibTorch tensors, and against the machine's limits.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "adder/eval/bench_peers.h"
#include "adder/eval/bench_run.h"
#include "adder/kernels/linear.h"
#include "adder/nn/operators.h"
#include "adder/ops/view.h"

namespace adder::eval {
namespace {

constexpr const char* kPlain = "plain LibTorch";

/// One operator at one shape. The functions give what gradients start from.
struct OperatorCase {
  std::string name;
  std::vector<Tensor> inputs;  // all differentiable
  std::function<Tensor(const std::vector<Tensor>&)> ours, peer;
  double flops = 0;  // of the forward pass; 0: bound by memory
  double bytes = 0;  // read and written by the forward pass
  std::string peer_name = kPlain;
  bool backward = true;
};

std::string type_word(at::ScalarType type) {
  return type == at::kBFloat16 ? "bf16" : "f32";
}

/// A row's rates and its share of what binds. `passes`: how much more the work is than one forward
/// pass.
void add_operator_row(BenchRun& run, const OperatorCase& one, const std::string& name,
                      const std::vector<Spread>& seconds, double passes) {
  BenchRow row{"operator",    name,
               "ms",          as_milliseconds(seconds[0]),
               one.peer_name, as_milliseconds(seconds[1])};
  const double flops = passes * one.flops / seconds[0].median;
  const double bytes = passes * one.bytes / seconds[0].median;
  const bool narrow = one.inputs[0].scalar_type() == at::kBFloat16;
  const double peak = narrow ? run.limits().gemm_bf16 : run.limits().gemm_f32;
  row.gflops = flops / 1e9;
  row.gbytes = bytes / 1e9;
  const bool by_memory = bytes / run.limits().read > flops / peak;
  row.share = by_memory ? bytes / run.limits().read : flops / peak;
  row.limit = by_memory ? "memory" : narrow ? "bf16 GEMM" : "fp32 GEMM";
  run.add(std::move(row));
}

void run_case(BenchRun& run, const OperatorCase& one) {
  const std::string what = one.name.substr(0, one.name.find(' '));
  const auto named = [&](const char* part) {
    return what + " " + part + one.name.substr(one.name.find(' '));
  };
  if (const std::string name = named("forward"); run.wanted("operator", name)) {
    const c10::NoGradGuard no_grad;
    const auto seconds = run.time({[&] { one.ours(one.inputs); }, [&] { one.peer(one.inputs); }});
    add_operator_row(run, one, name, seconds, 1);
  }
  const std::string name = named("fwd+bwd");
  if (!one.backward || !run.wanted("operator", name)) return;
  std::vector<Tensor> leaves;
  for (const Tensor& input : one.inputs)
    leaves.push_back(input.detach().clone().set_requires_grad(true));
  const auto both = [&leaves](const auto& function) {
    const Tensor y = function(leaves);
    torch::autograd::grad({y}, leaves, {at::ones_like(y)}, false, false, /*allow_unused=*/true);
  };
  const auto seconds = run.time({[&] { both(one.ours); }, [&] { both(one.peer); }});
  add_operator_row(run, one, name, seconds, 3);
}

struct ScanShape {
  const char* name;
  int64_t batch, length, heads, head_dim, state;
};

OperatorCase ssd_case(const ScanShape& s, at::ScalarType type) {
  constexpr int64_t kChunk = 64;
  const auto make = [](at::IntArrayRef sizes) { return at::randn(sizes); };
  OperatorCase one;
  one.name = std::string("ssd ") + s.name + " " + type_word(type);
  one.inputs = {make({s.batch, s.length, s.heads, s.head_dim}).to(type),
                (make({s.batch, s.length, s.heads}) - 3).to(type),
                -at::rand({s.heads}) * 15 - 1,
                make({s.batch, s.length, 1, s.state}).to(type),
                make({s.batch, s.length, 1, s.state}).to(type),
                make({s.heads}),
                make({s.heads})};
  one.ours = [](const std::vector<Tensor>& in) {
    return std::get<0>(nn::ssd(in[0], in[1], in[2], in[3], in[4], in[5], std::nullopt, in[6],
                               {.chunk_size = kChunk}, std::nullopt, std::nullopt));
  };
  one.peer = [](const std::vector<Tensor>& in) {
    return plain_ssd(in[0], in[1], in[2], in[3], in[4], in[5], in[6], kChunk).first;
  };
  one.peer_name = "plain LibTorch, chunk 64";
  // As model::Mamba2Spec counts: (Q + 1) / 2 others of the chunk, then state in and out.
  const double others = (kChunk + 1) / 2.0, p = double(s.head_dim), n = double(s.state);
  const double tokens = double(s.batch * s.length);
  one.flops = tokens * (double(s.heads) * (2 * others * p + 4 * p * n) + 2 * others * n);
  const double element = type == at::kFloat ? 4 : 2;
  one.bytes = tokens * element * (2 * double(s.heads) * p + 2 * n + double(s.heads));
  return one;
}

void bench_ssd(BenchRun& run) {
  constexpr ScanShape kShapes[] = {{"130M B2 L2048 H24 P64 N128", 2, 2048, 24, 64, 128},
                                   {"recipe B4 L256 H8 P32 N64", 4, 256, 8, 32, 64}};
  for (const ScanShape& shape : kShapes) {
    for (const auto type : {at::kFloat, at::kBFloat16}) run_case(run, ssd_case(shape, type));
  }
}

void bench_selective_scan(BenchRun& run) {
  struct Shape {
    int64_t batch, length, channels;
  };
  constexpr int64_t kState = 16;
  for (const Shape& s : {Shape{2, 2048, 1536}, Shape{4, 256, 256}}) {
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      OperatorCase one;
      one.name = "selective_scan B" + std::to_string(s.batch) + " L" + std::to_string(s.length) +
                 " D" + std::to_string(s.channels) + " N16 " + type_word(type);
      const auto rows = [&](int64_t width) { return at::randn({s.batch, s.length, width}); };
      one.inputs = {rows(s.channels).to(type),
                    (rows(s.channels) - 3).to(type),
                    -at::rand({s.channels, kState}) * kState - 1,
                    rows(kState).unsqueeze(2).to(type),
                    rows(kState).unsqueeze(2).to(type),
                    at::randn({s.channels}),
                    at::randn({s.channels})};
      one.ours = [](const std::vector<Tensor>& in) {
        return std::get<0>(nn::selective_scan(in[0], in[1], in[2], in[3], in[4], in[5],
                                              std::nullopt, in[6], true, std::nullopt,
                                              std::nullopt));
      };
      one.peer = [](const std::vector<Tensor>& in) {
        return plain_selective_scan(in[0], in[1], in[2], in[3], in[4], in[5], in[6]).first;
      };
      one.peer_name = "plain LibTorch, token loop";
      const double tokens = double(s.batch * s.length), element = type == at::kFloat ? 4 : 2;
      one.flops = tokens * double(s.channels) * 9 * kState;  // as the paper counts
      one.bytes = tokens * element * (3 * double(s.channels) + 2 * kState);
      run_case(run, one);
    }
  }
}

/// (batch 2, length 2048) of a 130 M model: d_model 768, 1536 inner channels, 1792 convolved.
void bench_rows(BenchRun& run, at::ScalarType type) {
  const double element = type == at::kFloat ? 4 : 2;
  const std::string word = " " + type_word(type);
  OperatorCase conv{
      .name = "causal_conv1d B2 L2048 D1792" + word,
      .inputs = {at::randn({2, 2048, 1792}).to(type), at::randn({1792, 4}), at::randn({1792})}};
  conv.ours = [](const std::vector<Tensor>& in) {
    return std::get<0>(nn::causal_conv1d(in[0], in[1], in[2], std::nullopt, std::nullopt, true));
  };
  conv.peer = [](const std::vector<Tensor>& in) {
    return plain_causal_conv1d(in[0], in[1], in[2]);
  };
  conv.bytes = 2 * element * 2 * 2048 * 1792;
  run_case(run, conv);

  OperatorCase norm{
      .name = "rms_norm 4096x768 +residual" + word,
      .inputs = {at::randn({4096, 768}).to(type), at::randn({768}), at::randn({4096, 768})}};
  // Both outputs get a gradient, as in a block.
  norm.ours = [](const std::vector<Tensor>& in) {
    const auto [y, sum] = nn::rms_norm(in[0], in[1], 1e-5, in[2], true);
    return y + sum;
  };
  norm.peer = [](const std::vector<Tensor>& in) {
    const auto [y, sum] = plain_rms_norm(in[0], in[1], 1e-5, in[2]);
    return y + sum;
  };
  norm.bytes = 4096.0 * 768 * (2 * element + 8);
  run_case(run, norm);

  OperatorCase gated{.name = "gated_rms_norm 4096x1536" + word,
                     .inputs = {at::randn({4096, 1536}).to(type), at::randn({1536}),
                                at::randn({4096, 1536}).to(type)}};
  gated.ours = [](const std::vector<Tensor>& in) {
    return nn::gated_rms_norm(in[0], in[1], in[2], 1e-5, 1536, false);
  };
  gated.peer = [](const std::vector<Tensor>& in) {
    return plain_gated_rms_norm(in[0], in[1], in[2], 1e-5);
  };
  gated.bytes = 4096.0 * 1536 * 3 * element;
  run_case(run, gated);
}

void bench_head(BenchRun& run, at::ScalarType type) {
  const Tensor target = at::randint(8192, {2048}, at::kLong);
  OperatorCase head{
      .name = "linear_cross_entropy T2048 d256 V8192 " + type_word(type),
      .inputs = {at::randn({2048, 256}).to(type), (at::randn({8192, 256}) * 0.02).to(type)}};
  head.ours = [target](const std::vector<Tensor>& in) {
    return std::get<0>(nn::linear_cross_entropy(in[0], in[1], std::nullopt, target, 0, 0, "sum"));
  };
  head.peer = [target](const std::vector<Tensor>& in) {
    return plain_linear_cross_entropy(in[0], in[1], target);
  };
  head.flops = 2.0 * 2048 * 256 * 8192;
  run_case(run, head);
}

void bench_ssd_update(BenchRun& run) {
  using Update =
      Tensor(Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
             const std::optional<Tensor>&, const std::optional<Tensor>&,
             const std::optional<Tensor>&, bool, double, double, const std::optional<Tensor>&);
  const auto update =
      c10::Dispatcher::singleton().findSchemaOrThrow("adder::ssd_update", "").typed<Update>();
  for (const int64_t batch : {1, 16}) {
    Tensor mine = at::zeros({batch, 24, 64, 128}), theirs = mine.clone();
    OperatorCase one{.name = "ssd_update B" + std::to_string(batch) + " H24 P64 N128 f32",
                     .inputs = {at::randn({batch, 24, 64}), at::randn({batch, 24}),
                                -at::rand({24}) - 1, at::randn({batch, 1, 128}),
                                at::randn({batch, 1, 128}), at::randn({24}), at::randn({24})}};
    one.ours = [&](const std::vector<Tensor>& in) {
      return update.call(mine, in[0], in[1], in[2], in[3], in[4], in[5], std::nullopt, in[6], true,
                         0, 1e300, std::nullopt);
    };
    one.peer = [&](const std::vector<Tensor>& in) {
      return plain_ssd_update(theirs, in[0], in[1], in[2], in[3], in[4], in[5], in[6]);
    };
    one.bytes = 2 * 4.0 * double(mine.numel());
    one.backward = false;
    run_case(run, one);
  }
}

/// The products of generation (no LibTorch) against LibTorch's: in_proj of 130 M parameters.
void bench_linear(BenchRun& run) {
  constexpr int64_t kIn = 768, kOut = 3352;
  for (const auto type : {at::kFloat, at::kBFloat16}) {
    for (const int64_t rows : {1, 8, 512}) {
      const Tensor x = at::randn({rows, kIn}), weight = at::randn({kOut, kIn}).to(type);
      const Tensor y = at::empty({rows, kOut}), narrow_x = x.to(type);
      OperatorCase one{.name = "infer_linear " + std::to_string(rows) + "x768x3352 " +
                               type_word(type) + " weights",
                       .inputs = {x}};
      one.ours = [&](const std::vector<Tensor>&) {
        kernels::linear(ops::view<2>(x), ops::view<2>(weight), {}, ops::view<2>(y),
                        ops::torch_pool());
        return y;
      };
      one.peer = [&](const std::vector<Tensor>&) { return at::linear(narrow_x, weight); };
      one.flops = 2.0 * double(rows) * kIn * kOut;
      one.bytes = (type == at::kFloat ? 4.0 : 2.0) * kIn * kOut;
      one.backward = false;
      run_case(run, one);
    }
  }
}

}  // namespace

void bench_operators(BenchRun& run) {
  at::manual_seed(1);
  bench_ssd(run);
  bench_selective_scan(run);
  for (const auto type : {at::kFloat, at::kBFloat16}) bench_rows(run, type);
  for (const auto type : {at::kFloat, at::kBFloat16}) bench_head(run, type);
  bench_ssd_update(run);
  bench_linear(run);
}

}  // namespace adder::eval
