// The verbs of `adder` and where each lives.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "adder/cli/arguments.h"

namespace adder::cli {

/// Runs a verb on the words after it; the result is the exit code. Errors are thrown.
using VerbFunction = int (*)(Words words);

/// One line of `adder --help`.
struct Verb {
  std::string_view name;
  std::string_view summary;
  VerbFunction run;  // null: it stands on LibTorch and lives in libadder_train.so
};
std::span<const Verb> verbs();

/// Throws kUsage with the nearest verb.
const Verb& find_verb(std::string_view name);

// The verbs of libadder.so.
int run_data(Words words);
int run_generate(Words words);
int run_chat(Words words);
int run_eval(Words words);
int run_convert(Words words);
int run_plan(Words words);
int run_report(Words words);
int run_doctor(Words words);

}  // namespace adder::cli
