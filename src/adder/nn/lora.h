// Low-rank adapters beside a model's linears, and the model with them added in.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "adder/model/lora.h"
#include "adder/nn/parameters.h"

namespace adder::nn {

/// The weights of a model in the memory of the CPU, with W + scale B A wherever there is an
/// adapter. Those matrices, and whatever is on a device, are copies that live as long as this; the
/// rest is borrowed from `parameters`.
class MergedWeights {
 public:
  explicit MergedWeights(const Parameters& parameters);
  const model::Weights& weights() const { return weights_; }

 private:
  std::vector<Tensor> tensors_;
  model::Weights weights_;
};

/// Writes adapter_config.json and adapter_model.safetensors into `folder`, which is made, in the
/// layout of the PEFT library. `config`, `base`: the model that they belong to, the latter as a
/// user named it.
void save_adapters(const std::string& folder, const model::ModelConfig& config,
                   const Parameters& adapters, const model::LoraOptions& lora,
                   const std::string& base);

/// Reads adapter_model.safetensors of `folder` back. Throws kNotFound, kFormat or kShape for
/// tensors that are not there or do not fit.
void load_adapters(const std::string& folder, Parameters& adapters);

}  // namespace adder::nn
