// Low-rank adaptation (Hu et al., arXiv 2106.09685) as data: which linears of a model get an
// adapter, and the adapters' tensors.
//
//   y = x W^T + (alpha / rank) (x A^T) B^T      A (rank, in), B (out, rank); W is not trained
//
// B starts at zero, so training starts from the model as it is.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "adder/base/options.h"
#include "adder/model/config.h"
#include "adder/model/tensor_spec.h"

namespace adder::model {

struct LoraOptions {
  int64_t rank = 0;  // 0: no adapters, the whole model is trained
  double alpha = 16;
  std::vector<std::string> targets = {"in_proj", "out_proj"};  // or {"all"}

  bool given() const { return rank > 0; }
  double scale() const { return alpha / static_cast<double>(rank); }
  void describe(OptionVisitor& v);
  /// Throws kConfig, also for alpha or targets without a rank; keys begin with "train.lora.".
  void check() const;
};

/// The linears of the model's blocks, "backbone.layers.0.mixer.in_proj" and so on: every matrix of
/// a mixer or an MLP that is named NAME.weight. Embedding and head are none of them.
std::vector<std::string> linear_names(const ModelConfig& config);

/// Those that `lora.targets` means: a target is a name, or the end of one after a dot. Throws
/// kConfig for a target that no linear has, saying which there are.
std::vector<std::string> lora_linears(const ModelConfig& config, const LoraOptions& lora);

/// The adapters' tensors: NAME.lora_A.weight, uniform in +-1/sqrt(in), and NAME.lora_B.weight,
/// zero. Throws kConfig where the rank is above a linear's own, naming it.
std::vector<TensorSpec> lora_specs(const ModelConfig& config, const LoraOptions& lora);

}  // namespace adder::model
