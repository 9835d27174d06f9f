// adder bench: operators, training and generation against peers and this machine's limits.
#include "adder/eval/bench.h"

#include "adder/cli/output.h"
#include "adder/cli/torch/verbs.h"

namespace adder::cli {

int run_bench(Words words) {
  if (!words.empty() && words[0] == "gpu") return run_bench_gpu(words.subspan(1));
  eval::BenchOptions options;
  bool json = false;
  Arguments args("bench [flags]",
                 "Measures operators, training and generation by turns with plain LibTorch, and "
                 "against the limits of this machine.",
                 {"adder bench", "adder bench --only ssd --repeats 5", "adder bench gpu"});
  args.options(flatten(options));
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  say("measuring; rows come as they are done");
  if (!json) print(eval::bench_header());
  const auto rows = eval::run_bench(options, [&](const eval::BenchRow& row) {
    if (!json) print(eval::bench_line(row));
    if (json) say(row.group + ": " + row.name);
  });
  if (json) print_json(eval::bench_json(rows));
  return 0;
}

}  // namespace adder::cli
