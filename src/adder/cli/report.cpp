// adder report RUN: writes the page that shows a run.
#include "adder/train/report.h"

#include "adder/cli/output.h"
#include "adder/cli/verbs.h"

namespace adder::cli {

int run_report(Words words) {
  std::string run;
  bool json = false;
  Arguments args("report RUN [flags]", "Writes RUN/report.html, the page that shows a run.",
                 {"adder report runs/first"});
  args.positional("RUN", run, "the folder of a run");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  const auto page = train::write_report(run);
  if (json) print_json({{"report", page.string()}});
  say("written: " + page.string());
  return 0;
}

}  // namespace adder::cli
