// Between CUDA tensors and the device kernels (kernels/cuda_kernels.h). No CUDA header is seen:
// streams and memory come from LibTorch's device-neutral interface.
//
// On a device no operator waits for the host or reads what a tensor holds: the values that a CPU
// operator checks (state_indices, targets) are the caller's promise there. float64 is not taken
// (ArgumentCheck::activation).
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/DeviceGuard.h>

#include <string>
#include <vector>

#include "adder/kernels/cuda_kernels.h"
#include "adder/ops/view.h"

namespace adder::ops {

/// The current stream of a tensor's device, and memory that lives as long as this: longer is not
/// needed, for LibTorch gives memory again to later work of the same stream alone.
class TorchWork final : public kernels::DeviceWork {
 public:
  explicit TorchWork(const Tensor& on) : device_(on.device()) {}
  void* stream() const override;
  void* take(int64_t bytes) const override;

 private:
  at::Device device_;
  mutable std::vector<Tensor> taken_;
};

/// The device kernels, for an operator on the device of `on`. Throws c10::Error with the operator's
/// name and why they cannot run: no library, no device.
const kernels::CudaKernels& kernels_for(const char* op, const Tensor& on);

/// Throws c10::Error with what a kernel answered, if it did.
void check_answer(const char* op, kernels::DeviceAnswer answer);

/// Runs `entry` of the table on the current stream of the device of `on`.
template <typename Entry, typename... Arguments>
void run_on_device(const char* op, const Tensor& on, Entry kernels::CudaKernels::*entry,
                   const Arguments&... arguments) {
  const kernels::CudaKernels& table = kernels_for(op, on);
  const c10::DeviceGuard guard(on.device());
  check_answer(op, (table.*entry)(arguments..., TorchWork(on)));
}

/// Runs a kernel where `on` lives: cpu(arguments..., torch_pool()), or `entry` of the table.
template <typename Cpu, typename Entry, typename... Arguments>
void run_kernel(const char* op, const Tensor& on, Cpu* cpu, Entry kernels::CudaKernels::*entry,
                const Arguments&... arguments) {
  if (on.is_cpu()) return cpu(arguments..., torch_pool());
  run_on_device(op, on, entry, arguments...);
}

/// Opens LibTorch's CUDA side in a process that began without it. To be called before the first
/// backward pass and before anything asks LibTorch for CUDA: it looks once. False: there is no
/// device, or a library is missing, and `why` says which.
bool load_cuda(std::string& why);

}  // namespace adder::ops
