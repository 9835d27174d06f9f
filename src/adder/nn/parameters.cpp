#include "adder/nn/parameters.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "adder/base/error.h"
#include "adder/ops/view.h"

namespace adder::nn {

Tensor borrow(const model::TensorView& view) {
  at::ScalarType type = at::kFloat;
  switch (view.dtype) {
    case DType::f32:
      break;
    case DType::f64:
      type = at::kDouble;
      break;
    case DType::bf16:
      type = at::kBFloat16;
      break;
    case DType::f16:
      type = at::kHalf;
      break;
    default:
      throw Error(
          ErrorKind::kUnsupported,
          {.what = "weights of type " + std::string(to_string(view.dtype)) + " cannot be trained"});
  }
  return at::from_blob(view.data, view.shape, at::TensorOptions().dtype(type));
}

Parameters::Parameters(std::vector<model::TensorSpec> specs, uint64_t seed,
                       const model::Weights* start)
    : specs_(std::move(specs)) {
  for (const model::TensorSpec& spec : specs_) {
    Tensor tensor = at::empty(spec.shape, at::TensorOptions().dtype(at::kFloat));
    if (start == nullptr) {
      model::initialise(spec, seed, tensor.data_ptr<float>(), ops::torch_pool());
    }
    index_.emplace(spec.name, tensors_.size());
    tensors_.push_back(tensor.set_requires_grad(!spec.frozen));
  }
  if (start != nullptr) load(*start);
}

const Tensor& Parameters::at(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) {
    throw Error(ErrorKind::kInternal, {.what = "no parameter is named '" + name + "'"});
  }
  return tensors_[found->second];
}

std::optional<Tensor> Parameters::find(const std::string& name) const {
  const auto found = index_.find(name);
  return found == index_.end() ? std::nullopt : std::optional(tensors_[found->second]);
}

void Parameters::adapt(const Parameters& adapters, double scale) {
  for (Tensor& tensor : tensors_) tensor.set_requires_grad(false);
  constexpr std::string_view kA = ".lora_A.weight";
  for (const model::TensorSpec& spec : adapters.specs()) {
    if (!spec.name.ends_with(kA)) continue;
    const std::string linear = spec.name.substr(0, spec.name.size() - kA.size());
    adapters_[linear] = {adapters.at(spec.name), adapters.at(linear + ".lora_B.weight"), scale};
  }
}

void Parameters::load(const model::Weights& weights) {
  const c10::NoGradGuard no_grad;
  for (const auto& [name, view] : weights) {
    const Tensor& mine = at(name);
    const Tensor theirs = borrow(view);
    if (mine.sizes() != theirs.sizes()) {
      throw Error(ErrorKind::kShape,
                  {.what = "a tensor does not fit the model",
                   .where = name,
                   .why = "its shape is " + model::to_string(view.shape) + ", the model's is " +
                          model::to_string(mine.sizes().vec())});
    }
    mine.copy_(theirs);
  }
}

model::Weights Parameters::weights() const {
  model::Weights result;
  for (size_t i = 0; i < specs_.size(); ++i) {
    result[specs_[i].name] = {tensors_[i].data_ptr(), DType::f32, specs_[i].shape};
  }
  return result;
}

}  // namespace adder::nn
