#include "adder/nn/mlp.h"

#include <ATen/ATen.h>

#include "adder/nn/operators.h"
#include "adder/ops/slices.h"

namespace adder::nn {

Mlp::Mlp(const model::MlpSpec& spec, const Parameters& parameters, const std::string& prefix)
    : gated_(spec.kind == "swiglu"),
      fc1_(parameters, prefix + "fc1"),
      fc2_(parameters, prefix + "fc2") {}

Tensor Mlp::forward(const Tensor& x) const {
  const Tensor inner = fc1_(x);
  if (!gated_) return fc2_(at::gelu(inner));
  const int64_t width = inner.size(-1) / 2;
  const auto halves = ops::slices(inner, {{width}, {width}});
  return fc2_(swiglu(halves[0], halves[1]));
}

}  // namespace adder::nn
