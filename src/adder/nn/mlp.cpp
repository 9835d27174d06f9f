#include "adder/nn/mlp.h"

#include <ATen/ATen.h>

namespace adder::nn {

Mlp::Mlp(const model::MlpSpec& spec, const Parameters& parameters, const std::string& prefix)
    : gated_(spec.kind == "swiglu"),
      fc1_(parameters, prefix + "fc1"),
      fc2_(parameters, prefix + "fc2") {}

Tensor Mlp::forward(const Tensor& x) const {
  const Tensor inner = fc1_(x);
  if (!gated_) return fc2_(at::gelu(inner));
  const auto halves = inner.chunk(2, -1);
  return fc2_(halves[0] * at::silu(halves[1]));
}

}  // namespace adder::nn
