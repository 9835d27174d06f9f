// A step of training on a device: forward, backward, clipping and update without a word from the
// host in between. The first steps are given to the device call by call; then the step is recorded
// once for each kind of batch and replayed.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "adder/nn/context.h"
#include "adder/ops/adamw.h"
#include "adder/train/accelerator.h"
#include "adder/train/optimizer.h"
#include "adder/train/task.h"

namespace adder::train {

class DeviceStep {
 public:
  /// `context`: what forward passes begin with. `record`: false never records. All must outlive
  /// this.
  DeviceStep(Task& task, AdamW& optimizer, Accelerator& accelerator, const nn::Context& context,
             bool record = true);

  /// Gives a step over `batches`, which ask for `count` predictions together, to the device and
  /// returns.
  void launch(const std::vector<data::Batch>& batches, int64_t count,
              const kernels::AdamwStep& values);

  /// Waits for the step. Where it was applied the optimiser has counted it.
  kernels::AdamwReport wait();

 private:
  /// Batches of the same shapes and traits share their memory and their recorded step.
  struct Plan {
    std::vector<TensorBatch> pinned, device;
    std::unique_ptr<Accelerator::Graph> graph;
    int64_t runs = 0;
  };
  Plan& plan_for(const std::vector<TensorBatch>& batches);
  void run(const Plan& plan);

  Task& task_;
  AdamW& optimizer_;
  Accelerator& accelerator_;
  nn::Context context_;
  bool record_;
  ops::AdamwBoard board_;
  at::Tensor count_, pinned_count_;  // f64 (): predictions of the step
  std::map<std::string, Plan> plans_;
};

}  // namespace adder::train
