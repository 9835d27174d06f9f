#include "adder/nn/parameters.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>

#include "adder/base/error.h"
#include "adder/base/thread_pool.h"
#include "adder/model/tensor_names.h"
#include "adder/ops/device.h"

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

namespace {

/// Fills the tensor of `spec`. Large ones are drawn where they lie.
void initialise(const model::TensorSpec& spec, uint64_t seed, const Tensor& tensor,
                const Parallel& pool) {
  if (tensor.is_cpu()) return model::initialise(spec, seed, tensor.data_ptr<float>(), pool);
  constexpr const char* kName = "initial weights";
  if (const auto drawn = model::draw_of(spec, seed)) {
    const kernels::CudaKernels& kernels = ops::kernels_for(kName, tensor);
    const c10::DeviceGuard guard(tensor.device());
    return ops::check_answer(kName, kernels.draw(*drawn, tensor.numel(), tensor.data_ptr<float>(),
                                                 ops::TorchWork(tensor)));
  }
  const Tensor values = at::empty(spec.shape, at::TensorOptions().dtype(at::kFloat));
  initialise(spec, seed, values, pool);
  tensor.copy_(values);
}

}  // namespace

Parameters::Parameters(std::vector<model::TensorSpec> specs, uint64_t seed,
                       const model::Weights* start, const Placement& placement)
    : specs_(std::move(specs)) {
  // Every core, also where LibTorch's loops run on one. A number does not depend on who draws it.
  const ThreadPool pool(start == nullptr ? at::get_num_threads() : 1);
  const auto options = at::TensorOptions().dtype(at::kFloat).device(placement.device);
  for (const model::TensorSpec& spec : specs_) {
    Tensor tensor = at::empty(spec.shape, options);
    if (start == nullptr) initialise(spec, seed, tensor, pool);
    index_.emplace(spec.name, tensors_.size());
    tensors_.push_back(tensor.set_requires_grad(!spec.frozen));
    const bool matrix = spec.shape.size() == 2 && !spec.keep_f32 && !spec.frozen;
    // Of the embedding a step reads rows, and adds up their gradients.
    const bool copied = placement.narrow && matrix && spec.name != model::kEmbedding;
    copies_.push_back(copied ? tensors_.back().detach().to(at::kBFloat16).requires_grad_()
                             : Tensor());
  }
  if (start != nullptr) load(*start);
}

size_t Parameters::index_of(const std::string& name) const {
  const auto found = index_.find(name);
  if (found == index_.end()) {
    throw Error(ErrorKind::kInternal, {.what = "no parameter is named '" + name + "'"});
  }
  return found->second;
}

const Tensor& Parameters::at(const std::string& name) const {
  return tensors_[index_of(name)];
}

const Tensor& Parameters::read(const std::string& name) const {
  return leaf(index_of(name));
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
    const size_t i = index_of(name);
    const Tensor& mine = tensors_[i];
    const Tensor theirs = borrow(view);
    if (mine.sizes() != theirs.sizes()) {
      throw Error(ErrorKind::kShape,
                  {.what = "a tensor does not fit the model",
                   .where = name,
                   .why = "its shape is " + model::to_string(view.shape) + ", the model's is " +
                          model::to_string(mine.sizes().vec())});
    }
    mine.copy_(theirs);
    if (copies_[i].defined()) copies_[i].copy_(mine);
  }
}

model::Weights Parameters::weights() const {
  model::Weights result;
  for (size_t i = 0; i < specs_.size(); ++i) {
    TORCH_INTERNAL_ASSERT(tensors_[i].is_cpu());
    result[specs_[i].name] = {tensors_[i].data_ptr(), DType::f32, specs_[i].shape};
  }
  return result;
}

}  // namespace adder::nn
