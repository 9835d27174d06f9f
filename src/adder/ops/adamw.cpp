#include "adder/ops/adamw.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include <cstring>
#include <limits>

#include "adder/ops/device.h"

namespace adder::ops {
namespace {

using kernels::AdamwReport;
using kernels::AdamwStep;

static_assert(sizeof(AdamwStep) == 5 * sizeof(double) && sizeof(AdamwReport) == 3 * sizeof(double),
              "the tensors of a AdamwBoard are these structs");

/// A dense f32 tensor's memory.
float* dense_floats(const char* name, const Tensor& tensor, const Tensor& parameter) {
  const ArgumentCheck check("adamw", parameter);
  check.dtype(name, tensor, at::kFloat);
  check.shape(name, tensor, parameter.sizes());
  check.that(tensor.is_contiguous() && tensor.device() == parameter.device(),
             std::string(name) + " must be dense and lie beside its parameter");
  return tensor.mutable_data_ptr<float>();
}

kernels::AdamwTensor adamw_tensor(const AdamwParameter& p) {
  const ArgumentCheck check("adamw", p.parameter);
  kernels::AdamwTensor t;
  t.parameter = dense_floats("parameter", p.parameter, p.parameter);
  t.mean = dense_floats("mean", p.mean, p.parameter);
  t.square = dense_floats("square", p.square, p.parameter);
  t.count = p.parameter.numel();
  t.decay = static_cast<float>(p.decay);
  if (p.gradient.defined()) {
    check.shape("gradient", p.gradient, p.parameter.sizes());
    check.that(p.gradient.is_contiguous(), "gradient must be dense");
    t.gradient = p.gradient.const_data_ptr();
    t.gradient_dtype = dtype_of(p.gradient);
  }
  if (p.copy.defined()) {
    check.shape("copy", p.copy, p.parameter.sizes());
    check.dtype("copy", p.copy, at::kBFloat16);
    check.that(p.copy.is_contiguous(), "copy must be dense");
    t.copy = p.copy.mutable_data_ptr();
  }
  return t;
}

using Entry = kernels::DeviceAnswer (*kernels::CudaKernels::*)(const kernels::AdamwTensors&,
                                                               const kernels::DeviceWork&);

void run_adamw(Entry entry, const std::vector<AdamwParameter>& parameters,
               const AdamwOptions& options, const AdamwBoard& board) {
  std::vector<kernels::AdamwTensor> tensors;
  for (const AdamwParameter& parameter : parameters) tensors.push_back(adamw_tensor(parameter));
  kernels::AdamwTensors all;
  all.tensors = tensors.data();
  all.count = static_cast<int64_t>(tensors.size());
  all.beta1 = options.beta1;
  all.beta2 = options.beta2;
  all.eps = options.eps;
  all.step = static_cast<const AdamwStep*>(board.step.const_data_ptr());
  all.report = static_cast<AdamwReport*>(board.report.mutable_data_ptr());
  const c10::DeviceGuard guard(board.report.device());
  check_answer("adamw", (kernels_for("adamw", board.report).*entry)(all, TorchWork(board.report)));
}

}  // namespace

AdamwBoard adamw_board(at::Device device) {
  const auto options = at::TensorOptions().device(device).dtype(at::kDouble);
  const AdamwBoard board{
      at::empty({5}, options),
      at::full({3}, std::numeric_limits<double>::quiet_NaN(), options),
  };
  set(board, {.loss_limit = std::numeric_limits<double>::infinity()});
  return board;
}

void set(const AdamwBoard& board, const AdamwStep& values) {
  // LibTorch keeps pinned memory from being given away while a copy out of it is under way.
  const Tensor pinned = at::empty({5}, at::TensorOptions().dtype(at::kDouble).pinned_memory(true));
  std::memcpy(pinned.mutable_data_ptr(), &values, sizeof(values));
  at::Tensor(board.step).copy_(pinned, /*non_blocking=*/true);
}

Tensor loss_of(const AdamwBoard& board) {
  return board.report.select(0, 0);
}

AdamwReport read(const AdamwBoard& board) {
  const Tensor here = board.report.cpu();
  AdamwReport report;
  std::memcpy(&report, here.const_data_ptr(), sizeof(report));
  return report;
}

void gradient_norm(const std::vector<AdamwParameter>& parameters, const AdamwBoard& board) {
  run_adamw(&kernels::CudaKernels::gradient_norm, parameters, {}, board);
}

void adamw(const std::vector<AdamwParameter>& parameters, const AdamwOptions& options,
           const AdamwBoard& board) {
  run_adamw(&kernels::CudaKernels::adamw, parameters, options, board);
}

}  // namespace adder::ops
