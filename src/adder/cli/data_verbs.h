// The verbs of `adder data` that stand in files of their own.
#pragma once

#include <vector>

#include "adder/cli/verbs.h"
#include "adder/data/options.h"

namespace adder::cli {

/// The keys of data.* that say what a text is, under their own names; the others say which
/// tokenizer reads it and how training does.
std::vector<OptionEntry> text_options(data::DataOptions& options);

int run_data_generate(Words words);
int run_data_tokenizer(Words words);
int run_data_encode(Words words);
int run_data_shard(Words words);
int run_data_inspect(Words words);

}  // namespace adder::cli
