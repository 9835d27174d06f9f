#include "adder/train/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "adder/base/thread_pool.h"
#include "adder/train/plan_mixers.h"
#include "adder/train/report_html.h"

namespace adder::train {
namespace {

// Fitted, not derived: to the peak resident memory of seventeen training runs (0.7 to 30 M
// parameters, 206 to 1,253 MB, with and without bf16 and recomputation) on Linux x86-64 with
// LibTorch 2.11; each within 10 %. What the program's allocator holds is more than the tensors that
// come and go: blocks of unlike sizes leave holes, most of all where recomputation makes and frees
// them a second time. (Returning every block to the system would save that and halve the speed.)
constexpr double kProgramBytes = 165e6;
constexpr double kHolesF32 = 0.2, kHolesBf16 = 0.1, kHolesRecomputed = 1.15;

/// Named amounts in the order of their first mention.
class Parts {
 public:
  void add(const std::string& name, double amount, const std::string& note = "") {
    const auto same = [&](const PlanPart& part) { return part.name == name; };
    const auto found = std::find_if(parts_.begin(), parts_.end(), same);
    if (found != parts_.end())
      found->amount += amount;
    else
      parts_.push_back({name, amount, note});
  }
  double sum() const {
    double total = 0;
    for (const PlanPart& part : parts_) total += part.amount;
    return total;
  }
  std::vector<PlanPart> take() { return std::move(parts_); }

 private:
  std::vector<PlanPart> parts_;
};

std::string group_of(const std::string& name) {
  if (name.starts_with("backbone.embeddings")) return "embedding";
  if (name.starts_with("lm_head")) return "head";
  if (name.find(".mlp.") != std::string::npos) return "MLPs";
  return name.find(".mixer.") != std::string::npos ? "mixers" : "norms";
}

PlanShape shape_of(const model::ModelConfig& config, const TrainOptions& options) {
  PlanShape shape{options.batch_size, options.length, options.compute == "bf16" ? 2 : 4,
                  options.threads > 0 ? options.threads : default_threads()};
  if (!options.lora.given()) return shape;
  for (const std::string& name : model::lora_linears(config, options.lora))
    shape.out_proj_adapted |= name.ends_with(".out_proj");
  return shape;
}

/// nn/language_model.cpp and ops/linear_cross_entropy.cpp around the mixers: bytes.
struct StackMemory {
  double block_inputs;  // kept with recomputation: what each block and the last norm read
  double norms;         // kept without it: what each norm before a mixer and the last one keep
  double normed;        // likewise each mixer's input
  double head_kept;     // the head's input, the targets and the head in the compute type
  double head_working;  // tiles of logits and the head's gradient while it is summed
  double gradients;     // of one block's output and residual, on the way back
};

StackMemory stack_memory(const model::ModelConfig& config, const PlanShape& shape) {
  const auto d = static_cast<double>(config.d_model), e = static_cast<double>(shape.element);
  const auto readout = static_cast<double>(config.d_readout());
  const auto vocab = static_cast<double>(config.vocab_size);
  const auto layers = static_cast<double>(config.n_layer);
  const double tokens = shape.tokens();
  const double residual = !config.residual ? 0 : config.residual_in_fp32 ? 4 : e;
  const double tile = std::min(
      tokens, static_cast<double>(std::clamp<int64_t>((2 << 20) / config.vocab_size, 16, 4096)));
  StackMemory memory{};
  // A norm keeps the sum if it adds one up, as all but the first do with a residual stream.
  const double sum = config.residual ? residual : e;
  memory.block_inputs = tokens * d * (layers * (e + residual) + (config.residual ? 0 : e));
  memory.norms = config.normed() ? tokens * d * (e + layers * sum) : 0;
  memory.normed = tokens * d * e * layers;
  memory.head_kept = tokens * (readout * e + 8) + (shape.element == 4 ? 0 : vocab * readout * e);
  // The tile in fp32, once more in the compute type, and the product that is added to the gradient.
  memory.head_working =
      tile * vocab * (4 + (shape.element == 4 ? 0 : e)) + (vocab * (4 + e) + tokens * e) * readout;
  memory.gradients = tokens * d * (e + residual);
  return memory;
}

/// What low-rank adapters cost beside the model.
struct Adapters {
  double parameters = 0;
  std::vector<double> kept;  // bytes of each layer: x A^T of its linears
};

Adapters adapters_of(const model::ModelConfig& config, const TrainOptions& options,
                     const PlanShape& shape) {
  Adapters adapters;
  adapters.kept.resize(static_cast<size_t>(config.n_layer));
  if (!options.lora.given()) return adapters;
  for (const model::TensorSpec& spec : model::lora_specs(config, options.lora)) {
    adapters.parameters += static_cast<double>(model::element_count(spec.shape));
    if (!spec.name.ends_with("lora_A.weight")) continue;
    for (int64_t layer = 0; layer < config.n_layer; ++layer) {
      if (!spec.name.starts_with(model::layer_prefix(layer))) continue;
      adapters.kept[static_cast<size_t>(layer)] +=
          shape.tokens() * static_cast<double>(options.lora.rank * shape.element);
    }
  }
  return adapters;
}

/// Of the head and every linear: each takes two operations a token in a product.
double matrix_elements(const model::ModelConfig& config) {
  double elements =
      static_cast<double>(config.d_readout()) * static_cast<double>(config.vocab_size);
  const auto linears = model::linear_names(config);
  const std::set<std::string> names(linears.begin(), linears.end());
  for (const model::TensorSpec& spec : model::tensor_specs(config)) {
    if (!names.contains(spec.name.substr(0, spec.name.rfind('.')))) continue;
    if (spec.shape.size() == 2) elements += static_cast<double>(model::element_count(spec.shape));
  }
  return elements;
}

/// Elements of what training never changes.
double frozen_elements(const model::ModelConfig& config) {
  double elements = 0;
  for (const model::TensorSpec& spec : model::tensor_specs(config)) {
    if (spec.frozen) elements += static_cast<double>(model::element_count(spec.shape));
  }
  return elements;
}

/// What is held at the moment of most, by category; `weights` of the model without adapters.
Parts memory_parts(const model::ModelConfig& config, const TrainOptions& options, double weights) {
  const PlanShape shape = shape_of(config, options);
  const StackMemory stack = stack_memory(config, shape);
  const Adapters adapters = adapters_of(config, options, shape);
  const bool again = options.checkpoint_activations;
  // Every block is kept whole until its backward, or, with recomputation, one at a time: that
  // decides which block's backward is the moment of most.
  const auto at_its_backward = [&](const BlockMemory& block) {
    return block.working + (again ? block.kept + block.weights : 0);
  };
  BlockMemory all, largest;
  for (int64_t layer = 0; layer < config.n_layer; ++layer) {
    BlockMemory one = block_memory(config, layer, shape);
    one.kept += adapters.kept[static_cast<size_t>(layer)];
    all.kept += one.kept;
    all.weights += one.weights;
    if (at_its_backward(one) > at_its_backward(largest)) largest = one;
  }
  const double matrices = again ? largest.weights : all.weights;
  const double one_normed = stack.normed / static_cast<double>(config.n_layer);
  const double kept = stack.head_kept + (again ? stack.block_inputs + largest.kept + one_normed
                                               : stack.norms + all.kept + stack.normed);

  const double trained =
      options.lora.given() ? 4 * adapters.parameters : weights - 4 * frozen_elements(config);

  Parts parts;
  parts.add("weights", weights, "fp32");
  parts.add("adapters", 4 * adapters.parameters, "fp32, all that is trained");
  parts.add("AdamW moments", 2 * trained, "fp32, mean and square");
  parts.add("gradients", trained, "fp32");
  parts.add("weights in bf16", matrices,
            again ? "of one block at a time" : "kept for the backward");
  parts.add("activations", kept,
            again ? "inputs of every block, one block whole" : "kept for the backward pass");
  const double block = largest.working + stack.gradients;
  if (block > stack.head_working) {
    parts.add("scan workspace", largest.scan, "states and partial sums of the backward scan");
    parts.add("backward", block - largest.scan, "gradients of one block's activations");
  } else {
    parts.add("logits", stack.head_working, "a tile of logits, the gradient of the head");
  }
  const double holes = again ? kHolesRecomputed : shape.element == 4 ? kHolesF32 : kHolesBf16;
  parts.add("allocator", holes * (parts.sum() - weights - 3 * trained),
            "held beyond the tensors, by experience");
  parts.add("program", kProgramBytes, "code of LibTorch and Adder, thread stacks");
  return parts;
}

}  // namespace

Plan make_plan(const model::ModelConfig& config, const TrainOptions& options) {
  config.check();
  Plan plan;
  Parts parameters;
  for (const model::TensorSpec& spec : model::tensor_specs(config)) {
    parameters.add(group_of(spec.name), static_cast<double>(model::element_count(spec.shape)));
  }
  plan.parameters = parameters.take();
  plan.parameter_count = model::parameter_count(config);
  plan.trained_count = plan.parameter_count - static_cast<int64_t>(frozen_elements(config));
  if (plan.trained_count != plan.parameter_count) plan.trained_note = "the others are constants";
  plan.forward_flops = model::forward_flops(config, options.length);
  plan.training_flops = plan.forward_flops * (options.checkpoint_activations ? 4 : 3);
  if (options.lora.given()) {
    const double adapters = adapters_of(config, options, shape_of(config, options)).parameters;
    plan.trained_count = static_cast<int64_t>(adapters);
    plan.trained_note = "adapters, beside these";
    // No products for the gradients of the model's own matrices.
    plan.training_flops += 3 * 2 * adapters - 2 * matrix_elements(config);
  }
  plan.tokens_per_step = static_cast<double>(options.batch_size) *
                         static_cast<double>(options.length) *
                         static_cast<double>(options.accumulation);
  plan.total_tokens = plan.tokens_per_step * static_cast<double>(options.steps);
  Parts memory = memory_parts(config, options, 4 * static_cast<double>(plan.parameter_count));
  plan.peak_bytes = memory.sum();
  plan.memory = memory.take();
  std::erase_if(plan.memory, [](const PlanPart& part) { return part.amount == 0; });
  return plan;
}

int64_t largest_batch(const model::ModelConfig& config, TrainOptions options, double bytes) {
  const auto fits = [&](int64_t batch) {
    options.batch_size = batch;
    return make_plan(config, options).peak_bytes <= bytes;
  };
  constexpr int64_t kMost = int64_t{1} << 24;
  int64_t fitting = 0, failing = 1;
  while (failing <= kMost && fits(failing)) {
    fitting = failing;
    failing *= 2;
  }
  while (failing - fitting > 1) {
    const int64_t middle = fitting + (failing - fitting) / 2;
    (fits(middle) ? fitting : failing) = middle;
  }
  return fitting;
}

io::Json plan_json(const Plan& plan) {
  const auto list = [](const std::vector<PlanPart>& parts) {
    io::Json json = io::Json::object();
    for (const PlanPart& part : parts) json[part.name] = static_cast<int64_t>(part.amount);
    return json;
  };
  return {{"parameters", plan.parameter_count},
          {"trained_parameters", plan.trained_count},
          {"parameters_by_group", list(plan.parameters)},
          {"forward_flops_per_token", plan.forward_flops},
          {"training_flops_per_token", plan.training_flops},
          {"tokens_per_step", static_cast<int64_t>(plan.tokens_per_step)},
          {"total_tokens", static_cast<int64_t>(plan.total_tokens)},
          {"peak_bytes", static_cast<int64_t>(plan.peak_bytes)},
          {"memory_bytes", list(plan.memory)}};
}

std::string plan_text(const Plan& plan) {
  std::string out =
      fmt::format("parameters   {:>12}  {}\n", format_short(double(plan.parameter_count)),
                  format_number(double(plan.parameter_count)));
  for (const PlanPart& part : plan.parameters) {
    out += fmt::format("  {:<20} {:>10}  {:.1f} %\n", part.name, format_short(part.amount),
                       100 * part.amount / static_cast<double>(plan.parameter_count));
  }
  if (plan.trained_count != plan.parameter_count) {
    out += fmt::format("  {:<20} {:>10}  {}\n", "trained", format_short(double(plan.trained_count)),
                       plan.trained_note);
  }
  out +=
      fmt::format("arithmetic of a token\n  {:<20} {:>10}FLOP\n  {:<20} {:>10}FLOP\n", "forward",
                  format_short(plan.forward_flops), "training", format_short(plan.training_flops));
  out += fmt::format("work\n  {:<20} {:>10}\n  {:<20} {:>10}\n  {:<20} {:>10}FLOP\n",
                     "tokens a step", format_short(plan.tokens_per_step), "tokens in all",
                     format_short(plan.total_tokens), "in all",
                     format_short(plan.training_flops * plan.total_tokens));
  out += fmt::format("memory at the peak {:>12}\n", format_bytes(plan.peak_bytes));
  for (const PlanPart& part : plan.memory) {
    out += fmt::format("  {:<20} {:>10}  {}\n", part.name, format_bytes(part.amount), part.note);
  }
  return out;
}

}  // namespace adder::train
