#include "adder/cli/verbs.h"

#include <algorithm>
#include <vector>

#include "adder/base/error.h"

namespace adder::cli {
namespace {

constexpr Verb kVerbs[] = {
    {"data", "make or prepare text: generate, tokenizer, encode, shard, inspect", &run_data},
    {"train", "train, fine-tune or resume from a recipe", nullptr},
    {"generate", "continue a prompt", &run_generate},
    {"chat", "talk with a model, line by line", &run_chat},
    {"eval", "measure a model: perplexity, choices", &run_eval},
    {"convert", "write a model in another layout or type", &run_convert},
    {"bench", "measure operators and training against this machine's limits", nullptr},
    {"plan", "what a recipe will need: parameters, memory, time", &run_plan},
    {"report", "write a run's report.html again", &run_report},
    {"doctor", "what this machine offers, and what is wrong with it", &run_doctor},
};

}  // namespace

std::span<const Verb> verbs() {
  return kVerbs;
}

const Verb& find_verb(std::string_view name) {
  const auto found = std::ranges::find(kVerbs, name, &Verb::name);
  if (found != std::end(kVerbs)) return *found;
  std::vector<std::string> names;
  for (const Verb& verb : kVerbs) names.emplace_back(verb.name);
  const auto near = nearest(name, names);
  throw Error(ErrorKind::kUsage, {.what = "unknown verb \"" + std::string(name) + "\"",
                                  .next = near.empty() ? "`adder --help` lists the verbs"
                                                       : "did you mean " + near + "?"});
}

}  // namespace adder::cli
