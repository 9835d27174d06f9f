// The verbs of libadder_train.so.
#pragma once

#include "adder/cli/verbs.h"

namespace adder::cli {

int run_train(Words words);
int run_bench(Words words);
int run_bench_gpu(Words words);

}  // namespace adder::cli
