#include "adder/nn/linear.h"

#include <ATen/ATen.h>

#include "adder/nn/operators.h"

namespace adder::nn {

Linear::Linear(const Parameters& parameters, const std::string& name)
    : weight_(parameters.read(name + ".weight")), bias_(parameters.find(name + ".bias")) {
  const auto found = parameters.adapters().find(name);
  if (found != parameters.adapters().end()) adapter_ = found->second;
}

Tensor Linear::operator()(const Tensor& x) const {
  return adapted(x, project(x, weight_, bias_));
}

Tensor Linear::product(const Tensor& x) const {
  return adapted(x, project(x, weight_));
}

Tensor Linear::weight() const {
  if (!adapter_) return weight_;
  return weight_.add(at::matmul(adapter_->B, adapter_->A), adapter_->scale);
}

/// y + scale (x A^T) B^T, and y itself where there is no adapter.
Tensor Linear::adapted(const Tensor& x, Tensor y) const {
  if (!adapter_) return y;
  const Tensor narrow = project(x, adapter_->A);  // (..., rank)
  return y.add(project(narrow, adapter_->B), adapter_->scale);
}

}  // namespace adder::nn
