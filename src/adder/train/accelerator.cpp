#include "adder/train/accelerator.h"

#include <dlfcn.h>

#include "adder/base/error.h"
#include "adder/base/library_beside.h"
#include "adder/ops/device.h"

namespace adder::train {
namespace {

[[noreturn]] void no_device(const std::string& why, const std::string& next) {
  throw Error(ErrorKind::kUnsupported, {.what = "there is no device to train on",
                                        .where = "train.device = cuda",
                                        .why = why,
                                        .next = next});
}

}  // namespace

at::Device open_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  std::string why;
  if (!ops::load_cuda(why)) {
    no_device(why, "`adder doctor` says what this machine has; train.device = cpu always works");
  }
  return {at::kCUDA, 0};
}

std::unique_ptr<Accelerator> open_accelerator(at::Device device) {
  TORCH_INTERNAL_ASSERT(device.is_cuda());
  const std::string path =
      library_beside(reinterpret_cast<const void*>(&open_accelerator), "libadder_train_cuda.so");
  const std::string next = "build Adder again on a machine with the CUDA toolkit (nvcc)";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) no_device(dlerror(), next);
  using Make = Accelerator*();
  auto* make = reinterpret_cast<Make*>(dlsym(library, kAcceleratorSymbol));
  if (make == nullptr) no_device(dlerror(), next);
  return std::unique_ptr<Accelerator>(make());
}

}  // namespace adder::train
