#include "adder/train/optimizer.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "adder/base/error.h"
#include "adder/io/safetensors.h"
#include "adder/ops/view.h"

namespace adder::train {

double gradient_norm(const std::vector<at::Tensor>& parameters) {
  constexpr int64_t kBlock = 16384;
  double total = 0;
  for (const at::Tensor& parameter : parameters) {
    if (!parameter.grad().defined()) continue;
    const at::Tensor gradient = parameter.grad().contiguous();
    const float* data = gradient.const_data_ptr<float>();
    const int64_t count = gradient.numel(), blocks = (count + kBlock - 1) / kBlock;
    std::vector<double> sums(static_cast<size_t>(blocks));
    ops::torch_pool().run(blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        double sum = 0;
        for (int64_t i = b * kBlock; i < std::min(count, (b + 1) * kBlock); ++i) {
          sum += static_cast<double>(data[i]) * data[i];
        }
        sums[static_cast<size_t>(b)] = sum;
      }
    });
    for (const double sum : sums) total += sum;
  }
  return std::sqrt(total);
}

AdamW::AdamW(const nn::Parameters& parameters, const OptimizerOptions& options)
    : parameters_(parameters), options_(options) {
  decayed_.decay = options.weight_decay;
  exempt_.decay = 0;
  for (size_t i = 0; i < parameters.tensors().size(); ++i) {
    const at::Tensor& parameter = parameters.tensors()[i];
    const model::TensorSpec& spec = parameters.specs()[i];
    if (spec.frozen) continue;
    names_.push_back(spec.name);
    mean_.push_back(at::zeros_like(parameter));
    square_.push_back(at::zeros_like(parameter));
    Group& group = spec.decay ? decayed_ : exempt_;
    group.parameters.push_back(parameter);
    group.mean.push_back(mean_.back());
    group.square.push_back(square_.back());
    group.steps.push_back(at::zeros({}, at::kFloat));
  }
}

void AdamW::step(double lr, double gradient_scale) {
  const c10::NoGradGuard no_grad;
  ++steps_;
  // The fused update divides gradients by this; it is how clipping costs nothing.
  const at::Tensor divisor = at::full({}, 1.0 / gradient_scale, at::kFloat);
  for (Group* group : {&decayed_, &exempt_}) {
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& parameter : group->parameters) {
      if (!parameter.grad().defined()) parameter.mutable_grad() = at::zeros_like(parameter);
      gradients.push_back(parameter.grad());
    }
    if (gradients.empty()) continue;
    for (at::Tensor& count : group->steps) count.fill_(static_cast<double>(steps_));
    at::_fused_adamw_(group->parameters, gradients, group->mean, group->square, {}, group->steps,
                      lr, options_.beta1, options_.beta2, group->decay, options_.eps,
                      /*amsgrad=*/false,
                      /*maximize=*/false, divisor);
  }
  clear_gradients();
}

std::vector<ops::AdamwParameter> AdamW::on_device() const {
  std::vector<ops::AdamwParameter> all;
  for (size_t i = 0, next = 0; i < parameters_.tensors().size(); ++i) {
    const model::TensorSpec& spec = parameters_.specs()[i];
    if (spec.frozen) continue;
    const at::Tensor& parameter = parameters_.tensors()[i];
    all.push_back({.parameter = parameter,
                   .gradient = parameters_.leaf(i).grad(),
                   .mean = mean_[next],
                   .square = square_[next],
                   .copy = parameters_.copies()[i],
                   .decay = spec.decay ? options_.weight_decay : 0});
    ++next;
  }
  return all;
}

kernels::AdamwStep AdamW::next(double lr, double loss_limit) const {
  const auto steps = static_cast<double>(steps_ + 1);
  return {.lr = lr,
          .bias1 = 1 - std::pow(options_.beta1, steps),
          .bias2 = 1 - std::pow(options_.beta2, steps),
          .clip = options_.clip,
          .loss_limit = loss_limit};
}

void AdamW::clear_gradients() {
  for (size_t i = 0; i < parameters_.tensors().size(); ++i) {
    parameters_.leaf(i).mutable_grad().reset();
  }
}

void AdamW::save(const std::filesystem::path& file) const {
  std::vector<io::TensorInfo> tensors;
  std::vector<at::Tensor> here;
  const auto add = [&](const std::string& name, const at::Tensor& moment) {
    const at::Tensor& tensor = here.emplace_back(moment.cpu());
    const auto* bytes = static_cast<const std::byte*>(tensor.const_data_ptr());
    tensors.push_back({name, DType::f32, tensor.sizes().vec(), {bytes, tensor.nbytes()}});
  };
  for (size_t i = 0; i < names_.size(); ++i) {
    add(names_[i] + ".mean", mean_[i]);
    add(names_[i] + ".square", square_[i]);
  }
  io::write_safetensors(file, tensors, {{"steps", std::to_string(steps_)}});
}

void AdamW::load(const std::filesystem::path& file) {
  const auto stored = io::SafetensorsFile::open(file);
  const auto read = [&](const std::string& name, const at::Tensor& into) {
    const io::TensorInfo& tensor = stored.tensor(name);
    if (tensor.dtype != DType::f32 || tensor.shape != into.sizes().vec()) {
      throw Error(ErrorKind::kFormat, {.what = "the optimiser's state does not fit the model",
                                       .where = file.string() + ", tensor '" + name + "'"});
    }
    at::Tensor(into).copy_(
        at::from_blob(const_cast<std::byte*>(tensor.bytes.data()), tensor.shape, at::kFloat));
  };
  for (size_t i = 0; i < names_.size(); ++i) {
    read(names_[i] + ".mean", mean_[i]);
    read(names_[i] + ".square", square_[i]);
  }
  const auto steps = stored.metadata().find("steps");
  if (steps == stored.metadata().end()) {
    throw Error(ErrorKind::kFormat,
                {.what = "the optimiser's state has no step count", .where = file.string()});
  }
  steps_ = std::stoll(steps->second);
}

}  // namespace adder::train
