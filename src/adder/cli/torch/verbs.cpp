// The table that libadder.so finds when it opens libadder_train.so.
#include "adder/cli/torch/verbs.h"

#include "adder/cli/train_library.h"
#include "adder/ops/device.h"
#include "adder/train/accelerator.h"

extern "C" __attribute__((visibility("default")))
const adder::cli::TrainVerb adder_train_verbs[] = {
    {"train", &adder::cli::run_train},
    {"bench", &adder::cli::run_bench},
    {nullptr, nullptr},
};

extern "C" __attribute__((visibility("default"))) const char* adder_train_load_cuda() {
  static std::string why;
  return adder::ops::load_cuda(why) ? nullptr : why.c_str();
}

extern "C" __attribute__((visibility("default"))) const char* adder_train_open_accelerator() {
  static std::string why;
  why = adder::train::why_no_accelerator();
  return why.empty() ? nullptr : why.c_str();
}
