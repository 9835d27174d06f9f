#include "adder/train/accelerator.h"

#include <dlfcn.h>

#include <filesystem>

#include "adder/base/error.h"
#include "adder/ops/device.h"

namespace adder::train {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void no_device(const std::string& why, const std::string& next) {
  throw Error(ErrorKind::kUnsupported, {.what = "there is no device to train on",
                                        .where = "train.device = cuda",
                                        .why = why,
                                        .next = next});
}

/// libadder_train_cuda.so beside the library that holds this function, or in lib/ beside the folder
/// of a program that does.
fs::path library_path() {
  constexpr const char* kName = "libadder_train_cuda.so";
  Dl_info here{};
  const auto* self = reinterpret_cast<const void*>(&open_accelerator);
  if (dladdr(self, &here) == 0 || here.dli_fname == nullptr) return kName;
  const fs::path folder = fs::absolute(here.dli_fname).parent_path();
  const fs::path beside = folder / kName;
  return fs::exists(beside) ? beside : folder.parent_path() / "lib" / kName;
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
  const fs::path path = library_path();
  const std::string next = "build Adder again on a machine with the CUDA toolkit (nvcc)";
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) no_device(dlerror(), next);
  using Make = Accelerator*();
  auto* make = reinterpret_cast<Make*>(dlsym(library, kAcceleratorSymbol));
  if (make == nullptr) no_device(dlerror(), next);
  return std::unique_ptr<Accelerator>(make());
}

}  // namespace adder::train
