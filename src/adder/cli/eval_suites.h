// The suites of `adder eval`, one file each.
#pragma once

#include "adder/cli/verbs.h"

namespace adder::cli {

int run_eval_perplexity(Words words);
int run_eval_choices(Words words);

}  // namespace adder::cli
