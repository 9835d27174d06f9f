// The parameters of a model: fp32 master tensors by name, made from model::tensor_specs.
#pragma once

#include <ATen/core/Tensor.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "adder/model/directory.h"

namespace adder::nn {

using at::Tensor;

/// What low-rank adaptation adds to a linear: y += scale (x A^T) B^T (model/lora.h).
struct Adapter {
  Tensor A;  // (rank, in)
  Tensor B;  // (out, rank)
  double scale = 1;
};

/// Where parameters live.
struct Placement {
  at::Device device = at::kCPU;
  /// Matrices also have bf16 copies: those are what forward passes read and what gets gradients, in
  /// bf16. Whoever changes a parameter writes its copy too.
  bool narrow = false;
};

/// A tensor over the memory of `view`, which it does not keep.
Tensor borrow(const model::TensorView& view);

class Parameters {
 public:
  /// Fresh tensors, initialised as the specs say, with the same values on every device; or with the
  /// values of `start`, which has all of them.
  Parameters(std::vector<model::TensorSpec> specs, uint64_t seed,
             const model::Weights* start = nullptr, const Placement& placement = {});

  /// Throws kInternal when there is none of this name.
  const Tensor& at(const std::string& name) const;
  /// The same, or nothing.
  std::optional<Tensor> find(const std::string& name) const;

  /// What a forward pass reads for it: the bf16 copy where there is one.
  const Tensor& read(const std::string& name) const;

  const std::vector<model::TensorSpec>& specs() const { return specs_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }  // in the order of specs()
  /// The bf16 copies in the order of specs(); undefined where there is none.
  const std::vector<Tensor>& copies() const { return copies_; }
  /// What gets the gradient of parameter i: its copy, or itself.
  const Tensor& leaf(size_t i) const { return copies_[i].defined() ? copies_[i] : tensors_[i]; }

  /// Sets these tensors fast and puts `adapters` (of model::lora_specs) beside their linears: from
  /// now on those are what is trained. Linears made before do not see them.
  void adapt(const Parameters& adapters, double scale);
  /// By the linear's name; empty without adapt().
  const std::map<std::string, Adapter>& adapters() const { return adapters_; }

  /// Copies the values of `weights` (f32, bf16 or f16) in. Throws kShape on a name or shape that
  /// does not fit.
  void load(const model::Weights& weights);
  /// The tensors, borrowed; of the CPU alone (MergedWeights copies those of a device).
  model::Weights weights() const;

 private:
  size_t index_of(const std::string& name) const;

  std::vector<model::TensorSpec> specs_;
  std::vector<Tensor> tensors_, copies_;
  std::map<std::string, size_t> index_;
  std::map<std::string, Adapter> adapters_;
};

}  // namespace adder::nn
