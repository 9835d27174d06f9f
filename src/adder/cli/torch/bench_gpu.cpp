// adder bench gpu: kernels and training steps on a CUDA device, against the limits of that device.
#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <cmath>
#include <memory>

#include "adder/base/error.h"
#include "adder/cli/output.h"
#include "adder/cli/torch/verbs.h"
#include "adder/eval/bench_gpu.h"
#include "adder/eval/bench_run.h"
#include "adder/kernels/cuda_kernels.h"
#include "adder/train/accelerator.h"
#include "adder/train/measure_steps.h"

namespace adder::cli {
namespace {

constexpr double kHopperFlops = 989e12;  // dense bf16 of H100 and H200 SXM by their data sheet

struct TrainingCase {
  const char* name;
  bool softmax;
  int64_t d_model, n_layer, d_hidden;  // d_hidden: of softmax's MLP
  train::StepShape shape;
};

/// The sizes of the published Mamba-2 models, and softmax attention with an MLP of equal size.
constexpr TrainingCase kTraining[] = {
    {"mamba2-130m", false, 768, 24, 0, {16, 2048}},
    {"mamba2-130m", false, 768, 24, 0, {64, 2048}},
    {"softmax-130m", true, 768, 12, 2048, {16, 2048}},
    {"mamba2-370m", false, 1024, 48, 0, {16, 2048}},
    {"mamba2-370m", false, 1024, 48, 0, {4, 8192}},
    {"softmax-370m", true, 1024, 24, 2816, {16, 2048}},
    {"mamba2-1.3b", false, 2048, 48, 0, {8, 2048}},
    {"softmax-1.3b", true, 2048, 24, 5632, {8, 2048}},
};

model::ModelConfig config_of(const TrainingCase& one) {
  model::ModelConfig config;
  config.d_model = one.d_model;
  config.n_layer = one.n_layer;
  config.vocab_size = 50288;
  if (one.softmax) {
    config.layers = {"softmax"};
    config.mlp.kind = "swiglu";
    config.mlp.d_hidden = one.d_hidden;
  }
  return config;
}

bool on_hopper() {
  kernels::DeviceInfo info;
  return kernels::cuda_kernels()->device_info(0, info) == nullptr && info.major == 9;
}

/// Tokens a second, the share of the data sheet's operations (6 x parameters x tokens), and memory.
eval::BenchRow training_row(const TrainingCase& one, int64_t steps) {
  const model::ModelConfig config = config_of(one);
  const auto accelerator = train::open_accelerator(train::open_device("cuda"));
  const train::StepMeasure measured = train::measure_steps(config, one.shape, steps, *accelerator);
  const auto tokens = double(one.shape.batch * one.shape.length);
  const auto parameters = double(model::parameter_count(config));
  eval::BenchRow row{"training",
                     fmt::format("training {} {}M B{} L{}", one.name,
                                 std::llround(parameters / 1e6), one.shape.batch, one.shape.length),
                     "tokens/s", eval::as_rate(eval::spread_of(measured.seconds), tokens)};
  if (on_hopper()) {
    row.share = 6 * parameters * row.ours.median / kHopperFlops;
    row.limit = "MFU: 6 x parameters x tokens/s / 989 TFLOP/s";
  }
  row.peak_gb = double(measured.peak_bytes) / 1e9;
  return row;
}

std::vector<eval::BenchRow> kernel_rows(const eval::DeviceBenchOptions& options,
                                        const eval::BenchProgress& tell) {
  const auto accelerator = train::open_accelerator(train::open_device("cuda"));
  std::vector<std::shared_ptr<train::Accelerator::Graph>> graphs;  // the device keeps one pool
  const auto record = [&](const eval::DeviceWorkload& work) -> eval::DeviceWorkload {
    graphs.push_back(accelerator->record(work));
    return [graph = graphs.back()] { graph->replay(); };
  };
  return eval::bench_device_kernels(options, record, tell);
}

}  // namespace

int run_bench_gpu(Words words) {
  eval::DeviceBenchOptions options;
  bool json = false;
  Arguments args("bench gpu [flags]",
                 "Measures each kernel and whole training steps on the CUDA device, against the "
                 "copy speed and the matrix products of that device.",
                 {"adder bench gpu", "adder bench gpu --only training", "adder bench gpu --json"});
  args.options(flatten(options));
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  const std::string device = eval::device_line();
  say(device);
  if (!json) print(eval::device_bench_header());
  const auto tell = [&](const eval::BenchRow& row) {
    if (!json) print(eval::device_bench_line(row));
    if (json) say(row.group + ": " + row.name);
  };
  std::vector<eval::BenchRow> rows = kernel_rows(options, tell);
  for (const TrainingCase& one : kTraining) {
    if (("training " + std::string(one.name)).find(options.only) == std::string::npos) continue;
    rows.push_back(training_row(one, options.repeats));
    tell(rows.back());
  }
  if (json) print_json({{"device", device}, {"rows", eval::bench_json(rows)}});
  return 0;
}

}  // namespace adder::cli
