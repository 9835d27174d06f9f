#include "adder/model/mlp_spec.h"

#include "adder/model/option_check.h"

namespace adder::model {
namespace {

const std::vector<std::string> kKinds = {"none", "swiglu", "gelu"};

}  // namespace

void MlpSpec::describe(OptionVisitor& v) {
  v.choice("kind", kind, kKinds, "MLP after each mixer");
  v.field("d_hidden", d_hidden, "its inner width; 0: 8/3 d_model (swiglu) or 4 d_model (gelu)");
  v.field("bias", bias, "biases of the MLP");
}

void MlpSpec::check() const {
  require_choice("mlp.kind", kind, kKinds);
  require_within("mlp.d_hidden", d_hidden, 0, kMaxWidth);
}

int64_t MlpSpec::hidden(int64_t d_model) const {
  if (d_hidden > 0) return d_hidden;
  const int64_t wanted = kind == "swiglu" ? 8 * d_model / 3 : 4 * d_model;
  return (wanted + 127) / 128 * 128;
}

std::vector<TensorSpec> MlpSpec::tensors(const LayerPlace& place) const {
  if (!given()) return {};
  const int64_t width = place.d_model, inner = hidden(width);
  const int64_t rows = kind == "swiglu" ? 2 * inner : inner;
  const Init in = uniform_fan_in(width), out = uniform_fan_in(inner, place.output_scale());
  TensorList list;
  list.matrix("fc1.weight", rows, width, in);
  if (bias) list.small("fc1.bias", {rows}, {});
  list.matrix("fc2.weight", width, inner, out);
  if (bias) list.small("fc2.bias", {width}, {});
  return list.specs;
}

double MlpSpec::forward_flops(int64_t d_model) const {
  if (!given()) return 0;
  const double matrices = kind == "swiglu" ? 3 : 2;
  return matrices * 2 * static_cast<double>(d_model) * static_cast<double>(hidden(d_model));
}

}  // namespace adder::model
