// The flags of generation, shared by the verbs that write text.
#pragma once

#include <string>
#include <vector>

#include "adder/base/options.h"
#include "adder/cli/arguments.h"
#include "adder/infer/generate.h"

namespace adder::cli {

/// Every generation option as an entry of its own name ("temperature", not "sampler.temperature"),
/// but for `stop`.
std::vector<OptionEntry> generation_entries(infer::GenerateOptions& options);

/// Their flags, and --stop.
void add_generation_flags(Arguments& args, infer::GenerateOptions& options);

/// Understands \n and \t in the stop texts and checks all. After parsing.
void check_generation(infer::GenerateOptions& options);

/// "temperature 0.8, top_k 40, seed 1": what differs from off, in the order it is applied.
std::string describe_sampler(infer::GenerateOptions options);

/// The seed of the `index`-th continuation: seed + index, which may wrap around.
int64_t seed_of(int64_t seed, int64_t index);

}  // namespace adder::cli
