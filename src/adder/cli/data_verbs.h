// The verbs of `adder data` that stand in files of their own.
#pragma once

#include "adder/cli/verbs.h"

namespace adder::cli {

int run_data_tokenizer(Words words);
int run_data_encode(Words words);
int run_data_shard(Words words);
int run_data_inspect(Words words);

}  // namespace adder::cli
