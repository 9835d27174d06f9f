#include "adder/train/accelerator.h"

#include <dlfcn.h>

#include "adder/base/error.h"
#include "adder/base/library_beside.h"
#include "adder/ops/device.h"
#include "adder/ops/product.h"

namespace adder::train {
namespace {

[[noreturn]] void no_device(const std::string& why, const std::string& next) {
  throw Error(ErrorKind::kUnsupported, {.what = "there is no device to train on",
                                        .where = "train.device = cuda",
                                        .why = why,
                                        .next = next});
}

using MakeAccelerator = Accelerator*();

/// What libadder_train_cuda.so offers. `make` is nullptr: it cannot be used, and `why` names it and
/// says more.
struct Offer {
  MakeAccelerator* make = nullptr;
  ops::DeviceProduct* product = nullptr;
};

Offer find_accelerator(std::string& why) {
  const std::string path =
      library_beside(reinterpret_cast<const void*>(&open_accelerator), "libadder_train_cuda.so");
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  void* found = library == nullptr ? nullptr : dlsym(library, kAcceleratorSymbol);
  if (found == nullptr) {
    why = dlerror();
    return {};
  }
  return {reinterpret_cast<MakeAccelerator*>(found),
          reinterpret_cast<ops::DeviceProduct*>(dlsym(library, kDeviceProductSymbol))};
}

Offer offer_of_library() {
  std::string why;
  const Offer offer = find_accelerator(why);
  if (offer.make == nullptr)
    no_device(why, "build Adder again on a machine with the CUDA toolkit (nvcc)");
  return offer;
}

}  // namespace

at::Device open_device(const std::string& name) {
  if (name == "cpu") return at::kCPU;
  std::string why;
  if (!ops::load_cuda(why)) {
    no_device(why, "`adder doctor` says what this machine has; train.device = cpu always works");
  }
  offer_of_library();
  return {at::kCUDA, 0};
}

std::unique_ptr<Accelerator> open_accelerator(at::Device device) {
  TORCH_INTERNAL_ASSERT(device.is_cuda());
  const Offer offer = offer_of_library();
  ops::offer_device_product(offer.product);
  return std::unique_ptr<Accelerator>(offer.make());
}

std::string why_no_accelerator() {
  std::string why;
  find_accelerator(why);
  return why;
}

}  // namespace adder::train
