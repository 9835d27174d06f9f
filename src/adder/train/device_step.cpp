#include "adder/train/device_step.h"

#include <ATen/ATen.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include "adder/base/error.h"

namespace adder::train {
namespace {

/// Steps of one kind before it is recorded: libraries choose and set themselves up in them.
constexpr int64_t kRunsBefore = 2;

std::string kind_of(const std::vector<TensorBatch>& batches) {
  std::string kind;
  for (const TensorBatch& batch : batches) {
    kind += fmt::format("/{}", batch.traits);
    for (const auto& [name, tensor] : batch.arrays) {
      kind += fmt::format(" {}", name);
      for (const int64_t size : tensor.sizes()) kind += fmt::format(",{}", size);
    }
  }
  return kind;
}

/// What the passes of a step have together: they are recorded as one.
uint32_t traits_of(const Task& task, const std::vector<data::Batch>& batches) {
  uint32_t traits = 0;
  for (const data::Batch& batch : batches) traits |= task.traits(batch);
  return traits;
}

}  // namespace

DeviceStep::DeviceStep(Task& task, AdamW& optimizer, Accelerator& accelerator,
                       const nn::Context& context, bool record)
    : task_(task),
      optimizer_(optimizer),
      accelerator_(accelerator),
      context_(context),
      record_(record) {
  const at::Device device = task.parameters().tensors().front().device();
  board_ = ops::adamw_board(device);
  count_ = at::ones({}, at::TensorOptions().device(device).dtype(at::kDouble));
  pinned_count_ = at::empty({}, at::TensorOptions().dtype(at::kDouble).pinned_memory(true));
}

DeviceStep::Plan& DeviceStep::plan_for(const std::vector<TensorBatch>& batches) {
  const auto [found, fresh] = plans_.try_emplace(kind_of(batches));
  if (fresh) {
    for (const TensorBatch& batch : batches) {
      found->second.pinned.push_back(
          empty_like(batch, at::TensorOptions().device(at::kCPU).pinned_memory(true)));
      found->second.device.push_back(
          empty_like(batch, at::TensorOptions().device(count_.device())));
    }
  }
  return found->second;
}

void DeviceStep::launch(const std::vector<data::Batch>& batches, int64_t count,
                        const kernels::AdamwStep& values) {
  const uint32_t traits = traits_of(task_, batches);
  std::vector<TensorBatch> given;
  for (const data::Batch& batch : batches) given.push_back(borrow(batch, traits));
  Plan& plan = plan_for(given);
  // The step before has been waited for: nothing reads the pinned memory any more.
  for (size_t i = 0; i < given.size(); ++i) {
    for (const auto& [name, tensor] : given[i].arrays) {
      plan.pinned[i].arrays.at(name).copy_(tensor);
      plan.device[i].arrays.at(name).copy_(plan.pinned[i].arrays.at(name), /*non_blocking=*/true);
    }
  }
  pinned_count_.fill_(static_cast<double>(count));
  count_.copy_(pinned_count_, /*non_blocking=*/true);
  ops::set(board_, values);
  try {
    if (plan.graph == nullptr && record_ && plan.runs >= kRunsBefore) {
      plan.graph = accelerator_.record([&] { run(plan); });
    }
    if (plan.graph != nullptr) {
      plan.graph->replay();
    } else {
      accelerator_.run([&] { run(plan); });
    }
  } catch (const c10::OutOfMemoryError& error) {
    throw Error(ErrorKind::kConfig,
                {.what = "a training step does not fit the device's memory",
                 .where = "train.batch_size",
                 .why = error.what_without_backtrace(),
                 .next = "halve train.batch_size and double train.accumulation, or set "
                         "train.checkpoint_activations"});
  }
  ++plan.runs;
}

void DeviceStep::run(const Plan& plan) {
  at::Tensor total;  // f64 (), as the host adds it up
  for (const TensorBatch& batch : plan.device) {
    nn::Context forward = context_;
    const at::Tensor sum = task_.loss_sum(batch, forward);
    torch::autograd::backward({sum / count_.to(sum.scalar_type())}, {});
    const at::Tensor part = sum.detach().to(at::kDouble);
    total = total.defined() ? total + part : part;
  }
  ops::loss_of(board_).copy_(total / count_);
  const std::vector<ops::AdamwParameter> parameters = optimizer_.on_device();
  const OptimizerOptions& options = optimizer_.options();
  ops::gradient_norm(parameters, board_);
  ops::adamw(parameters, {options.beta1, options.beta2, options.eps}, board_);
  optimizer_.clear_gradients();
}

kernels::AdamwReport DeviceStep::wait() {
  const kernels::AdamwReport report = ops::read(board_);
  if (report.applied != 0) optimizer_.count_step();
  return report;
}

}  // namespace adder::train
