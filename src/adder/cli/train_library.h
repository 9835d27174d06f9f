// libadder_train.so: the verbs that stand on LibTorch. It is opened when one of them runs.
#pragma once

#include <string>
#include <string_view>

#include "adder/cli/verbs.h"

namespace adder::cli {

/// What libadder_train.so exports under the name adder_train_verbs: its verbs, ended by an empty
/// name.
struct TrainVerb {
  const char* name;
  VerbFunction run;
};
inline constexpr const char* kTrainVerbsSymbol = "adder_train_verbs";

/// Opens the library beside libadder.so (once). Throws kUnsupported when it is not there or does
/// not load.
VerbFunction train_verb(std::string_view name);

/// And under these names what opens LibTorch's CUDA side, and after that libadder_train_cuda.so.
/// nullptr, or why it does not open, in words that live as long as the program.
using OpenLibrary = const char*();
inline constexpr const char* kLoadCudaSymbol = "adder_train_load_cuda";
inline constexpr const char* kOpenAcceleratorSymbol = "adder_train_open_accelerator";

/// The same, opening libadder_train.so first. Empty: it opens.
std::string why_no_torch_cuda();
std::string why_no_accelerator();

/// Where it is looked for.
std::string train_library_path();

}  // namespace adder::cli
