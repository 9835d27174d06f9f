#include "adder/eval/bench_gpu.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>
#include <sstream>

#include "adder/base/error.h"
#include "adder/eval/bench_device_timer.h"
#include "adder/eval/bench_run.h"
#include "adder/kernels/cuda_kernels.h"
#include "adder/nn/operators.h"
#include "adder/ops/adamw.h"
#include "adder/ops/device.h"

namespace adder::eval {
namespace {

constexpr auto kBf16 = at::kBFloat16;

at::Tensor normal(at::IntArrayRef sizes, at::ScalarType type = kBf16) {
  return at::randn(sizes, at::TensorOptions().device(at::kCUDA).dtype(at::kFloat)).to(type);
}

/// NAME_backward for every tensor argument, or any operator without autograd.
void call_operator(const std::string& name, const std::vector<c10::IValue>& arguments) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(("adder::" + name).c_str(), "");
  torch::jit::Stack stack(arguments.begin(), arguments.end());
  op.callBoxed(stack);
}

/// The arguments of NAME_backward: gradients of the outputs, arguments, and a yes for each tensor.
std::vector<c10::IValue> backward_arguments(std::vector<c10::IValue> gradients,
                                            const std::vector<c10::IValue>& arguments,
                                            const std::vector<bool>& needs) {
  gradients.insert(gradients.end(), arguments.begin(), arguments.end());
  c10::List<bool> list;
  for (const bool need : needs) list.push_back(need);
  gradients.emplace_back(list);
  return gradients;
}

/// What one operator does at one shape, and the fewest operations and bytes that it takes.
struct KernelCase {
  std::string name;  // "ssd B8 L2048 H24 P64 N128"
  DeviceWorkload forward, both;
  double flops = 0, bytes = 0;            // of the forward pass
  double both_flops = 0, both_bytes = 0;  // of forward and backward
};

class DeviceBench {
 public:
  DeviceBench(const DeviceBenchOptions& options, const Recorder& record,
              const BenchProgress& progress)
      : options_(options), record_(record), progress_(progress) {}

  bool wanted(const std::string& group, const std::string& name) const {
    return options_.only.empty() || (group + " " + name).find(options_.only) != std::string::npos;
  }
  void add(BenchRow row) {
    rows_.push_back(std::move(row));
    if (progress_) progress_(rows_.back());
  }
  std::vector<Spread> time(const std::vector<DeviceWorkload>& candidates) const {
    return time_on_device(candidates, options_.repeats, record_);
  }
  const std::vector<BenchRow>& rows() const { return rows_; }

  /// A kernel's row with its share of the limit that binds.
  void add_kernel(const std::string& name, const Spread& seconds, double flops, double bytes,
                  const std::string& peer = "", const Spread& peer_seconds = {}) {
    BenchRow row{
        "kernel", name, "ms", as_milliseconds(seconds), peer, as_milliseconds(peer_seconds)};
    row.ratio = peer_seconds.median / seconds.median;
    row.gflops = flops / seconds.median / 1e9;
    row.gbytes = bytes / seconds.median / 1e9;
    const bool by_memory = bytes / copy_ > flops / gemm_;
    row.share = by_memory ? row.gbytes * 1e9 / copy_ : row.gflops * 1e9 / gemm_;
    row.limit = by_memory ? "copy" : "bf16 GEMM";
    add(std::move(row));
  }
  void run(const KernelCase& one) {
    const size_t cut = one.name.find(' ');
    const auto named = [&](const char* part) {
      return one.name.substr(0, cut) + " " + part + one.name.substr(cut);
    };
    if (wanted("kernel", named("forward")))
      add_kernel(named("forward"), time({one.forward})[0], one.flops, one.bytes);
    if (one.both && wanted("kernel", named("fwd+bwd")))
      add_kernel(named("fwd+bwd"), time({one.both})[0], one.both_flops, one.both_bytes);
  }
  void measure_limits();

 private:
  const DeviceBenchOptions& options_;
  const Recorder& record_;
  const BenchProgress& progress_;
  std::vector<BenchRow> rows_;
  double copy_ = 1, gemm_ = 1;  // bytes (read and written) and operations a second
};

void DeviceBench::measure_limits() {
  {
    constexpr double kBytes = 1u << 30;
    const at::Tensor from = normal({int64_t(kBytes) / 4}, at::kFloat);
    at::Tensor to = at::empty_like(from);
    // By a kernel: a recorded copy goes to the copy engine, which is slower.
    const Spread seconds = time({[&] { at::neg_out(to, from); }})[0];
    copy_ = 2 * kBytes / seconds.median;
    add({"limit", "copy (read + write)", "GB/s", as_rate(seconds, 2 * kBytes / 1e9)});
  }
  const at::Tensor a = normal({8192, 8192}), b = normal({8192, 8192});
  const Spread seconds = time({[&] { at::mm(a, b.t()); }})[0];
  const double work = 2 * std::pow(8192.0, 3);
  gemm_ = work / seconds.median;
  add({"limit", "bf16 GEMM 8192^3", "GFLOP/s", as_rate(seconds, work / 1e9)});
}

KernelCase ssd_case(int64_t batch, int64_t length, int64_t heads) {
  constexpr int64_t kHeadDim = 64, kState = 128;
  KernelCase one;
  one.name = "ssd B" + std::to_string(batch) + " L" + std::to_string(length) + " H" +
             std::to_string(heads) + " P64 N128";
  // As the model has them: slices of one matrix.
  const int64_t inner = heads * kHeadDim;
  const at::Tensor xBC = normal({batch, length, inner + 2 * kState});
  const auto parts = xBC.split_with_sizes({inner, kState, kState}, -1);
  const at::Tensor x = parts[0].unflatten(-1, {heads, kHeadDim});
  const at::Tensor B = parts[1].unsqueeze(2), C = parts[2].unsqueeze(2);
  const at::Tensor dt = normal({batch, length, heads}, at::kFloat).sub(4).to(kBf16);
  const auto floats = at::TensorOptions().device(at::kCUDA);
  const at::Tensor A = at::rand({heads}, floats).mul(-15).sub(1), D = at::randn({heads}, floats);
  const at::Tensor bias = at::randn({heads}, floats);
  const c10::IValue none;
  const std::vector<c10::IValue> arguments = {x,    dt,   A,   B,     C,           D,    none,
                                              bias, true, 0.0, 1e300, int64_t{64}, none, none};
  const at::Tensor grad = normal({batch, length, heads, kHeadDim});
  const auto backward = backward_arguments(
      {grad, none}, arguments, {true, true, true, true, true, true, false, true, false, false});
  one.forward = [arguments] { call_operator("ssd", arguments); };
  one.both = [arguments, backward] {
    call_operator("ssd", arguments);
    call_operator("ssd_backward", backward);
  };
  // In chunks of 64 tokens (mamba-core 1.5, costs): inside a chunk, state in and out, C B^T.
  const double tokens = double(batch * length), pairs = tokens * double(heads);
  constexpr double kQ = 64, kP = kHeadDim, kN = kState;
  one.flops = pairs * (2 * kQ * kP + 4 * kP * kN) + tokens * 2 * kQ * kN;
  one.both_flops = one.flops + pairs * (4 * kQ * kP + 10 * kP * kN) + tokens * 6 * kQ * kN;
  one.bytes = pairs * (2 * kP + 1) * 2 + tokens * 2 * kN * 2;
  one.both_bytes = one.bytes + pairs * (3 * kP + 2) * 2 + tokens * 4 * kN * 2;
  return one;
}

KernelCase conv_case() {
  constexpr int64_t kBatch = 8, kLength = 2048, kChannels = 1792;
  const at::Tensor wide = normal({kBatch, kLength, 3352});  // in_proj's rows, of which a slice
  const at::Tensor x = wide.narrow(-1, 1536, kChannels);
  const c10::IValue none;
  const std::vector<c10::IValue> arguments = {
      x, normal({kChannels, 4}, at::kFloat), normal({kChannels}, at::kFloat), none, none, "silu"};
  const auto backward = backward_arguments({normal({kBatch, kLength, kChannels}), none}, arguments,
                                           {true, true, true, false, false});
  const double elements = double(kBatch * kLength * kChannels);
  return {"causal_conv1d B8 L2048 D1792 W4",
          [arguments] { call_operator("causal_conv1d", arguments); },
          [arguments, backward] {
            call_operator("causal_conv1d", arguments);
            call_operator("causal_conv1d_backward", backward);
          },
          0,
          elements * 4,
          0,
          elements * 10};
}

KernelCase gated_norm_case() {
  constexpr int64_t kRows = 16384, kWidth = 1536;
  const at::Tensor z = normal({kRows, 3352}).narrow(-1, 0, kWidth);
  const std::vector<c10::IValue> arguments = {
      normal({kRows, kWidth}), normal({kWidth}, at::kFloat), z, 1e-5, kWidth, false};
  const auto backward =
      backward_arguments({normal({kRows, kWidth})}, arguments, {true, true, true});
  const double elements = double(kRows * kWidth);
  return {"gated_rms_norm 16384x1536",
          [arguments] { call_operator("gated_rms_norm", arguments); },
          [arguments, backward] {
            call_operator("gated_rms_norm", arguments);
            call_operator("gated_rms_norm_backward", backward);
          },
          0,
          elements * 6,
          0,
          elements * 16};
}

KernelCase norm_case() {
  constexpr int64_t kRows = 16384, kWidth = 768;
  const std::vector<c10::IValue> arguments = {normal({kRows, kWidth}), normal({kWidth}, at::kFloat),
                                              1e-5, normal({kRows, kWidth}, at::kFloat), true};
  std::vector<c10::IValue> kept = arguments;  // the sum in the place of x and residual
  kept[0] = c10::IValue();
  kept[3] = normal({kRows, kWidth}, at::kFloat);
  const auto backward = backward_arguments(
      {normal({kRows, kWidth}), normal({kRows, kWidth}, at::kFloat)}, kept, {true, true, true});
  const double elements = double(kRows * kWidth);
  // x, residual, sum, y; and back: grad y, grad sum, the sum again, grad x, grad residual.
  return {"rms_norm 16384x768 f32 residual",
          [arguments] { call_operator("rms_norm", arguments); },
          [arguments, backward] {
            call_operator("rms_norm", arguments);
            call_operator("rms_norm_backward", backward);
          },
          0,
          elements * 12,
          0,
          elements * (12 + 16)};
}

KernelCase ssd_update_case() {
  constexpr int64_t kBatch = 64, kHeads = 80;
  const auto floats = at::TensorOptions().device(at::kCUDA);
  const c10::IValue none;
  const std::vector<c10::IValue> arguments = {normal({kBatch, kHeads, 64, 128}, at::kFloat),
                                              normal({kBatch, kHeads, 64}),
                                              normal({kBatch, kHeads}),
                                              at::rand({kHeads}, floats).mul(-15).sub(1),
                                              normal({kBatch, 1, 128}),
                                              normal({kBatch, 1, 128}),
                                              at::randn({kHeads}, floats),
                                              none,
                                              at::randn({kHeads}, floats),
                                              true,
                                              0.0,
                                              1e300,
                                              none};
  return {"ssd_update B64 H80 P64 N128", [arguments] { call_operator("ssd_update", arguments); },
          nullptr, 0, 2.0 * 4 * kBatch * kHeads * 64 * 128};
}

/// The head's loss beside LibTorch's, which holds the logits whole.
void bench_loss(DeviceBench& bench) {
  constexpr int64_t kTokens = 16384, kWidth = 768, kVocab = 50280;
  const std::string shape = " T16384 d768 V50280";
  if (!bench.wanted("kernel", "linear_cross_entropy forward" + shape) &&
      !bench.wanted("kernel", "linear_cross_entropy fwd+bwd" + shape))
    return;
  const at::Tensor x = normal({kTokens, kWidth}).set_requires_grad(true);
  const at::Tensor weight = normal({kVocab, kWidth}, at::kFloat).mul(0.02).to(kBf16);
  weight.set_requires_grad(true);
  const at::Tensor target = at::randint(kVocab, {kTokens}, x.options().dtype(at::kLong));
  const auto ours = [&] {
    return std::get<0>(nn::linear_cross_entropy(x, weight, std::nullopt, target, 0, 0, "sum"));
  };
  const auto eager = [&] {
    return at::cross_entropy_loss(at::linear(x, weight).to(at::kFloat), target, {},
                                  at::Reduction::Sum);
  };
  const auto both = [&](const auto& function) { torch::autograd::grad({function()}, {x, weight}); };
  const double product = 2.0 * kTokens * kWidth * kVocab;
  const auto row = [&](const char* part, const DeviceWorkload& mine, const DeviceWorkload& theirs,
                       double products) {
    const auto seconds = bench.time({mine, theirs});
    BenchRow row{"kernel",
                 "linear_cross_entropy " + std::string(part) + shape,
                 "ms",
                 as_milliseconds(seconds[0]),
                 "LibTorch eager",
                 as_milliseconds(seconds[1])};
    row.ratio = seconds[1].median / seconds[0].median;
    row.gflops = products * product / seconds[0].median / 1e9;
    row.peak_gb = double(peak_device_bytes(mine)) / 1e9;
    row.peer_peak_gb = double(peak_device_bytes(theirs)) / 1e9;
    bench.add(std::move(row));
  };
  {
    const c10::NoGradGuard no_grad;
    row(
        "forward", [&] { ours(); }, [&] { eager(); }, 1);
  }
  row(
      "fwd+bwd", [&] { both(ours); }, [&] { both(eager); }, 3);
}

/// The update of 130 M parameters with the norm of their gradients, beside LibTorch's fused update
/// (which takes no norm).
void bench_adamw(DeviceBench& bench) {
  const std::string name = "adamw with gradient norm, 130M f32";
  if (!bench.wanted("kernel", name)) return;
  constexpr int64_t kTensors = 24, kCount = 130'000'000 / kTensors;
  const auto floats = at::TensorOptions().device(at::kCUDA);
  std::vector<ops::AdamwParameter> parameters;
  std::vector<at::Tensor> weights, gradients, means, squares, steps;
  for (int64_t i = 0; i < kTensors; ++i) {
    weights.push_back(at::randn({kCount}, floats));
    gradients.push_back(at::randn({kCount}, floats).mul_(1e-3));
    means.push_back(at::zeros({kCount}, floats));
    squares.push_back(at::zeros({kCount}, floats));
    steps.push_back(at::ones({}, floats));
    parameters.push_back({weights[i], gradients[i], means[i], squares[i], {}, 0.1});
  }
  const ops::AdamwBoard board = ops::adamw_board(weights[0].device());
  ops::set(board, {.lr = 1e-4, .bias1 = 0.1, .bias2 = 0.05, .clip = 1, .loss_limit = 1e9});
  ops::loss_of(board).fill_(1.0);
  const auto ours = [&] {
    ops::gradient_norm(parameters, board);
    ops::adamw(parameters, {}, board);
  };
  const auto theirs = [&] {
    at::_fused_adamw_(weights, gradients, means, squares, {}, steps, 1e-4, 0.9, 0.95, 0.1, 1e-8,
                      /*amsgrad=*/false, /*maximize=*/false);
  };
  const auto seconds = bench.time({ours, theirs});
  constexpr double kBytes = 32.0 * kTensors * kCount;  // 3 read and 3 written, the gradient twice
  bench.add_kernel(name, seconds[0], 0, kBytes, "LibTorch fused, no norm", seconds[1]);
}

}  // namespace

void DeviceBenchOptions::describe(OptionVisitor& v) {
  v.field("repeats", repeats, "measurements of each row; the figure is their median");
  v.field("only", only, "only rows whose name or group holds this text");
}

std::string device_line() {
  std::string why;
  const kernels::CudaKernels* kernels = kernels::cuda_kernels();
  if (kernels == nullptr) why = kernels::cuda_kernels_missing();
  if (kernels == nullptr || !ops::load_cuda(why)) {
    throw Error(ErrorKind::kUnsupported, {.what = "there is no CUDA device to measure",
                                          .why = why,
                                          .next = "`adder doctor` says what was found"});
  }
  kernels::DeviceInfo info;
  if (const char* wrong = kernels->device_info(0, info))
    throw Error(ErrorKind::kUnsupported, {.what = "the CUDA device does not answer", .why = wrong});
  std::ostringstream line;
  line.setf(std::ios::fixed);
  line.precision(1);
  line << info.name << ", " << info.multiprocessors << " multiprocessors, "
       << double(info.memory_bytes) / double(1u << 30) << " GiB";
  return line.str();
}

std::vector<BenchRow> bench_device_kernels(const DeviceBenchOptions& options,
                                           const Recorder& record, const BenchProgress& progress) {
  if (options.repeats < 1)
    throw Error(ErrorKind::kUsage, {.what = "a number is out of range", .where = "--repeats"});
  device_line();
  DeviceBench bench(options, record, progress);
  bench.measure_limits();
  {
    const c10::NoGradGuard no_grad;
    constexpr int64_t kShapes[][3] = {
        {8, 2048, 24}, {8, 2048, 64}, {8, 4096, 32}, {2, 8192, 80}, {1, 65536, 24}};
    for (const auto& s : kShapes) bench.run(ssd_case(s[0], s[1], s[2]));
    bench.run(conv_case());
    bench.run(norm_case());
    bench.run(gated_norm_case());
    bench.run(ssd_update_case());
    bench_adamw(bench);
  }
  bench_loss(bench);
  return bench.rows();
}

}  // namespace adder::eval
