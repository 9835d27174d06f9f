// AdamW over a model's parameters, with the gradient norm clipped.
#pragma once

#include <ATen/core/Tensor.h>

#include <filesystem>
#include <string>
#include <vector>

#include "adder/nn/parameters.h"
#include "adder/ops/adamw.h"
#include "adder/train/options.h"

namespace adder::train {

/// Euclidean norm of all gradients together, in double, in blocks of a fixed size: the same for any
/// number of threads. Parameters without a gradient count as zero.
double gradient_norm(const std::vector<at::Tensor>& parameters);

class AdamW {
 public:
  /// `parameters` must outlive the optimiser. Frozen ones are left alone.
  AdamW(const nn::Parameters& parameters, const OptimizerOptions& options);

  /// One update from the gradients, scaled by `gradient_scale` (clipping), then clears them. On the
  /// CPU; on a device ops/adamw.h updates what the next three say.
  void step(double lr, double gradient_scale);
  void clear_gradients();

  /// The parameters that are not frozen, with their gradients as they are now.
  std::vector<ops::AdamwParameter> on_device() const;
  /// What the next step brings; `loss_limit`: it is left out above.
  kernels::AdamwStep next(double lr, double loss_limit) const;
  /// The device has made a step.
  void count_step() { ++steps_; }

  int64_t steps() const { return steps_; }
  const OptimizerOptions& options() const { return options_; }

  /// Both moments of every parameter and the step count, as safetensors.
  void save(const std::filesystem::path& file) const;
  void load(const std::filesystem::path& file);

 private:
  /// Parameters that share a weight decay.
  struct Group {
    double decay;
    std::vector<at::Tensor> parameters, mean, square, steps;
  };

  const nn::Parameters& parameters_;
  OptimizerOptions options_;
  std::vector<std::string> names_;         // of the parameters that are not frozen
  std::vector<at::Tensor> mean_, square_;  // in the order of the names
  Group decayed_, exempt_;                 // share the tensors above
  int64_t steps_ = 0;
};

}  // namespace adder::train
