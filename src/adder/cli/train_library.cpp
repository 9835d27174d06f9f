#include "adder/cli/train_library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>

#include "adder/base/error.h"
#include "adder/base/library_beside.h"

namespace adder::cli {

std::string train_library_path() {
  return library_beside(reinterpret_cast<const void*>(&train_library_path), "libadder_train.so");
}

namespace {

/// The library, opened for `name`.
void* open_train_library(std::string_view name) {
  const std::string path = train_library_path();
  const auto fail = [&](const std::string& why, const std::string& next) {
    throw Error(ErrorKind::kUnsupported, {.what = "adder " + std::string(name) +
                                                  " stands on LibTorch, which this build lacks",
                                          .where = path,
                                          .why = why,
                                          .next = next});
  };
  if (!std::filesystem::exists(path)) {
    fail("the library is not there: built with -DADDER_TORCH=OFF, or not installed",
         "run scripts/build, which fetches LibTorch and builds all");
  }
  // LibTorch's threads wait for each other by spinning. On a machine with other work they would
  // spin against it: a training step then takes ten times as long. Spinning briefly costs a few per
  // cent of a quiet machine.
  if (std::getenv("OMP_WAIT_POLICY") == nullptr)
    setenv("GOMP_SPINCOUNT", "100000", /*overwrite=*/0);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    fail(dlerror(), "run scripts/build again; `adder doctor` says what is found");
  }
  return library;
}

void* symbol_of(void* library, const char* symbol) {
  void* found = dlsym(library, symbol);
  if (found != nullptr) return found;
  throw Error(ErrorKind::kUnsupported, {.what = "the library of training does not fit this program",
                                        .where = train_library_path(),
                                        .why = dlerror(),
                                        .next = "run scripts/build again"});
}

/// What a function of the library that opens another one answers.
std::string ask(const char* symbol) {
  void* library = open_train_library("train");
  const char* why = reinterpret_cast<OpenLibrary*>(symbol_of(library, symbol))();
  return why == nullptr ? "" : why;
}

}  // namespace

VerbFunction train_verb(std::string_view name) {
  void* library = open_train_library(name);
  const auto* table = static_cast<const TrainVerb*>(symbol_of(library, kTrainVerbsSymbol));
  for (; table->name != nullptr; ++table) {
    if (name == table->name) return table->run;
  }
  throw Error(ErrorKind::kInternal,
              {.what = "no verb " + std::string(name), .where = train_library_path()});
}

std::string why_no_torch_cuda() {
  return ask(kLoadCudaSymbol);
}

std::string why_no_accelerator() {
  return ask(kOpenAcceleratorSymbol);
}

}  // namespace adder::cli
