#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <cmath>

#include "adder/base/rng.h"
#include "adder/ops/test_open_device.h"
#include "adder/ops/test_support.h"

namespace adder::ops {

void OnEachDevice::SetUp() {
  if (!on_cpu() && !OpenDevice::found) GTEST_SKIP() << "skipped: no device: " << OpenDevice::why;
}

std::string device_name(const ::testing::TestParamInfo<at::DeviceType>& info) {
  return at::DeviceTypeName(info.param, /*lower_case=*/true);
}

at::Tensor random_tensor(at::IntArrayRef sizes, uint64_t seed, at::ScalarType type) {
  at::Tensor result = at::empty(sizes, at::kDouble);
  Rng rng(seed);
  double* data = result.data_ptr<double>();
  for (int64_t i = 0; i < result.numel(); ++i) data[i] = rng.normal();
  return result.to(type);
}

std::vector<at::Tensor> cast(const std::vector<at::Tensor>& tensors, at::ScalarType type) {
  std::vector<at::Tensor> result;
  for (const at::Tensor& tensor : tensors) result.push_back(tensor.to(type));
  return result;
}

double relative_error(const at::Tensor& a, const at::Tensor& b) {
  const at::Tensor reference = b.to(at::kCPU, at::kDouble);
  const double scale = reference.abs().max().item<double>();
  return (a.to(at::kCPU, at::kDouble) - reference).abs().max().item<double>() /
         std::max(scale, 1e-30);
}

namespace {

at::Tensor project(const std::vector<at::Tensor>& outputs) {
  at::Tensor total;
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (!at::isFloatingType(outputs[i].scalar_type())) continue;
    const at::Tensor weights = random_tensor(outputs[i].sizes(), 1000 + i).to(outputs[i].device());
    const at::Tensor term = (outputs[i].to(at::kDouble) * weights).sum();
    total = total.defined() ? total + term : term;
  }
  return total;
}

}  // namespace

std::vector<at::Tensor> gradients_of(const TensorFunction& function,
                                     std::vector<at::Tensor> inputs) {
  for (at::Tensor& input : inputs) input = input.detach().clone().set_requires_grad(true);
  return torch::autograd::grad({project(function(inputs))}, inputs);
}

double gradient_error(const TensorFunction& function, std::vector<at::Tensor> inputs) {
  const std::vector<at::Tensor> gradients = gradients_of(function, inputs);
  constexpr double kStep = 1e-5;
  double worst = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const at::Tensor direction = random_tensor(inputs[i].sizes(), 2000 + i);
    const auto at_offset = [&](double h) {
      std::vector<at::Tensor> moved = inputs;
      moved[i] = inputs[i] + h * direction;
      return project(function(moved)).item<double>();
    };
    const double numeric = (at_offset(kStep) - at_offset(-kStep)) / (2 * kStep);
    const double exact = (gradients[i] * direction).sum().item<double>();
    worst = std::max(
        worst, std::abs(numeric - exact) / std::max({std::abs(numeric), std::abs(exact), 1e-3}));
  }
  return worst;
}

namespace {

struct Tolerance {
  double value, gradient;
};

void expect_near(const TensorFunction& ours, const TensorFunction& theirs,
                 const std::vector<at::Tensor>& inputs, const Tolerance& tolerance) {
  std::vector<at::Tensor> exact;
  for (const at::Tensor& input : inputs) exact.push_back(input.to(at::kCPU, at::kDouble));
  const auto compare = [&](const char* what, const std::vector<at::Tensor>& got,
                           const std::vector<at::Tensor>& want, double bound) {
    for (size_t i = 0; i < want.size(); ++i)
      EXPECT_LT(relative_error(got[i], want[i]), bound)
          << what << " " << i << ", " << inputs[0].toString();
  };
  compare("output", ours(inputs), theirs(exact), tolerance.value);
  const auto gradients = gradients_of(ours, inputs);
  compare("gradient", gradients, gradients_of(theirs, exact), tolerance.gradient);
  if (inputs[0].is_cpu()) return;
  const auto again = gradients_of(ours, inputs);
  for (size_t i = 0; i < gradients.size(); ++i)
    EXPECT_TRUE(at::equal(gradients[i], again[i])) << "gradient " << i << " of a second run";
}

}  // namespace

void expect_equal(at::DeviceType device, const TensorFunction& ours, const TensorFunction& theirs,
                  const std::vector<at::Tensor>& inputs, const std::vector<size_t>& wide) {
  std::vector<at::Tensor> narrow, half;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const bool stays = std::find(wide.begin(), wide.end(), i) != wide.end();
    narrow.push_back(inputs[i].to(device, at::kFloat));
    half.push_back(inputs[i].to(device, stays ? at::kFloat : at::kBFloat16));
  }
  expect_near(ours, theirs, narrow, {1e-5, 1e-4});
  if (device == at::kCPU) {
    expect_near(ours, theirs, inputs, {1e-12, 1e-10});
  } else {
    // An output is rounded to 2^-9 of itself; so is what a gradient is computed from, and so may be
    // each of the terms that it is the sum of.
    expect_near(ours, theirs, half, {1.0 / 128, 1.0 / 64});
  }
}

std::vector<at::Tensor> call(const std::string& name, std::vector<c10::IValue> arguments) {
  const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(("adder::" + name).c_str(), "");
  op.callBoxed(&arguments);
  std::vector<at::Tensor> outputs;
  for (const c10::IValue& output : arguments) outputs.push_back(output.toTensor());
  return outputs;
}

std::vector<at::Tensor> call_ssd(const at::Tensor& x, const at::Tensor& dt, const at::Tensor& A,
                                 const at::Tensor& B, const at::Tensor& C,
                                 const std::optional<at::Tensor>& D,
                                 const std::optional<at::Tensor>& z,
                                 const std::optional<at::Tensor>& dt_bias,
                                 const std::optional<at::Tensor>& initial_state,
                                 const std::optional<at::Tensor>& seq_idx, int64_t chunk_size) {
  return call(
      "ssd", {x, dt, A, B, C, D, z, dt_bias, true, 0.0, 1e300, chunk_size, initial_state, seq_idx});
}

}  // namespace adder::ops
