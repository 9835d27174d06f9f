#include "adder/kernels/cuda_kernels.h"

#include <dlfcn.h>

#include "adder/base/library_beside.h"

namespace adder::kernels {
namespace {

struct Found {
  const CudaKernels* kernels = nullptr;
  std::string missing;
};

Found find() {
  const std::string path =
      library_beside(reinterpret_cast<const void*>(&cuda_kernels), "libadder_cuda.so");
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return {nullptr, dlerror()};
  using Entry = const CudaKernels*();
  auto* entry = reinterpret_cast<Entry*>(dlsym(library, kCudaKernelsSymbol));
  if (entry == nullptr) return {nullptr, dlerror()};
  const CudaKernels* kernels = entry();
  if (kernels->version != kCudaKernelsVersion)
    return {nullptr, path + " is of another version: build Adder again"};
  DeviceInfo info;
  if (const DeviceAnswer wrong = kernels->device_info(0, info))
    return {nullptr, std::string("no CUDA device: ") + wrong};
  if (info.major != 8 && info.major != 9)
    return {nullptr, std::string(info.name) + ": the kernels are for compute capability 8 and 9"};
  return {kernels, ""};
}

const Found& found() {
  static const Found found = find();
  return found;
}

}  // namespace

const CudaKernels* cuda_kernels() {
  return found().kernels;
}

const std::string& cuda_kernels_missing() {
  return found().missing;
}

}  // namespace adder::kernels
