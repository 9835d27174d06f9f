// adder report RUN: the page that shows a run, or several runs beside each other.
#include "adder/train/report.h"

#include "adder/base/error.h"
#include "adder/cli/output.h"
#include "adder/cli/verbs.h"
#include "adder/io/file.h"
#include "adder/train/report_compare.h"
#include "adder/train/report_run.h"

namespace adder::cli {
namespace {

/// "LABEL=FOLDER", or a folder, whose name is its label.
train::LabelledRun labelled(const std::string& word) {
  const auto split = word.find('=');
  if (split == std::string::npos || std::filesystem::exists(word)) {
    return {train::run_name(word), word};
  }
  return {word.substr(0, split), word.substr(split + 1)};
}

void compare(const std::vector<std::string>& words, const std::string& out, bool json) {
  std::vector<train::LabelledRun> runs;
  for (const std::string& word : words) runs.push_back(labelled(word));
  const bool picture = out.ends_with(".svg");
  const std::string page = picture ? train::comparison_svg(runs) : train::comparison_page(runs);
  if (page.empty()) {
    throw Error(ErrorKind::kUsage, {.what = "there is nothing to draw",
                                    .why = "none of these runs was evaluated on held-out text"});
  }
  io::write_file_atomic(out, page);
  if (json) print_json({{"report", out}, {"experiments", train::comparison_json(runs)}});
  say("written: " + out);
}

}  // namespace

int run_report(Words words) {
  std::vector<std::string> runs;
  std::string out;
  bool json = false;
  Arguments args(
      "report RUN ... [flags]",
      "Writes RUN/report.html, the page that shows a run; or, of several runs, one page "
      "or picture that shows them beside each other. LABEL=RUN names an experiment: runs "
      "of one label are its repetitions.",
      {"adder report runs/first",
       "adder report mamba2=runs/m1 mamba2=runs/m2 softmax=runs/s1 --out compare.html",
       "adder report runs/a runs/b --out losses.svg --json"});
  args.positionals("RUN", runs, "folders of runs, or LABEL=FOLDER");
  args.option("out", out, "file to write, .html or .svg (several runs; or one, for a picture)");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  if (runs.size() > 1 && out.empty()) {
    throw Error(ErrorKind::kUsage,
                {.what = "where shall the comparison go?", .next = "add --out compare.html"});
  }
  if (!out.empty()) {
    compare(runs, out, json);
    return 0;
  }
  const auto page = train::write_report(runs.front());
  if (json) print_json({{"report", page.string()}});
  say("written: " + page.string());
  return 0;
}

}  // namespace adder::cli
