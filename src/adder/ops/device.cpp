#include "adder/ops/device.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <torch/library.h>

#include <filesystem>

namespace adder::ops {

void* TorchWork::stream() const {
  return c10::impl::VirtualGuardImpl(device_.type()).getStream(device_).native_handle();
}

void* TorchWork::take(int64_t bytes) const {
  taken_.push_back(at::empty({bytes}, at::TensorOptions().device(device_).dtype(at::kByte)));
  return taken_.back().data_ptr();
}

const kernels::CudaKernels& kernels_for(const char* op, const Tensor& on) {
  const kernels::CudaKernels* found = kernels::cuda_kernels();
  TORCH_CHECK(found != nullptr, op, ": the tensors are on ", on.device(),
              ", and the device kernels cannot be used: ", kernels::cuda_kernels_missing(),
              "; move them to the CPU, or see `adder doctor`");
  return *found;
}

void check_answer(const char* op, kernels::DeviceAnswer answer) {
  TORCH_CHECK(answer == nullptr, op, " on a device: ", answer);
}

namespace {

/// libtorch_cuda.so beside the libtorch_cpu.so of this process.
std::string torch_cuda_path() {
  const auto* of_torch = reinterpret_cast<const void*>(&at::_ops::abs::call);
  Dl_info place{};
  if (dladdr(of_torch, &place) == 0 || place.dli_fname == nullptr) return "libtorch_cuda.so";
  return (std::filesystem::path(place.dli_fname).parent_path() / "libtorch_cuda.so").string();
}

/// An operator without device kernels.
void refuse_on_device(const c10::OperatorHandle& op, torch::jit::Stack* /*stack*/) {
  TORCH_CHECK(false, op.schema().name(),
              " has no device kernels yet: run this model on the CPU (--device cpu)");
}

}  // namespace

bool load_cuda(std::string& why) {
  if (kernels::cuda_kernels() == nullptr) {
    why = kernels::cuda_kernels_missing();
    return false;
  }
  // Its kernels register themselves; nothing is linked to it, so that a machine without a device
  // needs none of NVIDIA's libraries.
  if (dlopen(torch_cuda_path().c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    why = std::string("LibTorch's CUDA side cannot be opened: ") + dlerror() +
          "; scripts/fetch-libtorch --cuda fetches what it needs";
    return false;
  }
  if (at::hasCUDA()) return true;
  why = "LibTorch's CUDA side finds no device, or LibTorch was used before it was opened";
  return false;
}

TORCH_LIBRARY_IMPL(adder, CUDA, library) {
  for (const char* name : {"selective_scan", "selective_scan_update", "word_ssm"})
    library.impl(name, torch::CppFunction::makeFromBoxedFunction<&refuse_on_device>());
}

}  // namespace adder::ops
