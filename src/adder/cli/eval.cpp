// adder eval SUITE MODEL: the table of suites.
#include <algorithm>

#include "adder/base/error.h"
#include "adder/cli/eval_suites.h"
#include "adder/cli/output.h"

namespace adder::cli {
namespace {

struct Suite {
  std::string_view name;
  std::string_view summary;
  VerbFunction run;
};

constexpr Suite kSuites[] = {
    {"perplexity", "how surprised a model is by texts", &run_eval_perplexity},
    {"choices", "multiple-choice and cloze tasks from a local file", &run_eval_choices},
};

std::string help_text() {
  std::string text = "usage: adder eval SUITE MODEL [flags]\n\nMeasures a model.\n\nSuites:\n";
  for (const Suite& suite : kSuites) {
    text += "  " + std::string(suite.name) + std::string(14 - suite.name.size(), ' ') +
            std::string(suite.summary) + "\n";
  }
  return text + "\n`adder eval SUITE --help` says more.\n";
}

}  // namespace

int run_eval(Words words) {
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
    print(help_text());
    return 0;
  }
  std::string known;
  for (const Suite& suite : kSuites) {
    if (!words.empty() && words[0] == suite.name) return suite.run(words.subspan(1));
    known += (known.empty() ? "" : ", ") + std::string(suite.name);
  }
  throw Error(ErrorKind::kUsage,
              {.what = words.empty() ? "eval measures what?" : "unknown suite \"" + words[0] + "\"",
               .next = "known suites: " + known});
}

}  // namespace adder::cli
