// The table that libadder.so finds when it opens libadder_train.so.
#include "adder/cli/torch/verbs.h"

#include "adder/cli/train_library.h"

extern "C" __attribute__((visibility("default")))
const adder::cli::TrainVerb adder_train_verbs[] = {
    {"train", &adder::cli::run_train},
    {"bench", &adder::cli::run_bench},
    {nullptr, nullptr},
};
