// adder data ...: text, tokenizers, token ids and shards.
#include <algorithm>

#include "adder/base/error.h"
#include "adder/cli/data_verbs.h"
#include "adder/cli/help.h"
#include "adder/cli/output.h"
#include "adder/cli/verbs.h"

namespace adder::cli {
namespace {

struct DataVerb {
  std::string_view name, summary;
  VerbFunction run;
};
constexpr DataVerb kDataVerbs[] = {
    {"generate", "write a text to learn from, offline or with a language model",
     &run_data_generate},
    {"tokenizer", "make a tokenizer from text", &run_data_tokenizer},
    {"encode", "a text as token ids (.npy)", &run_data_encode},
    {"shard", "texts as hashed, memory-mapped token shards", &run_data_shard},
    {"inspect", "check shards or a recipe's text and show training rows", &run_data_inspect},
};

std::string data_help() {
  HelpText help("adder data VERB [flags]", "Makes or prepares text.");
  help.heading("verbs");
  for (const auto& verb : kDataVerbs) help.row(verb.name, verb.summary);
  help.heading("examples");
  help.line("adder data generate --bytes 2000000 --out stories.txt");
  help.line("adder data encode --tokenizer tokenizer.json --text stories.txt --out ids.npy");
  return help.text();
}

}  // namespace

int run_data(Words words) {
  if (!words.empty() && (words[0] == "--help" || words[0] == "-h")) {
    print(data_help());
    return 0;
  }
  std::vector<std::string> names;
  for (const auto& verb : kDataVerbs) names.emplace_back(verb.name);
  if (!words.empty()) {
    const auto found = std::ranges::find(kDataVerbs, words[0], &DataVerb::name);
    if (found != std::end(kDataVerbs)) return found->run(words.subspan(1));
  }
  const auto near = words.empty() ? "" : nearest(words[0], names);
  throw Error(
      ErrorKind::kUsage,
      {.what = words.empty() ? "data does what?" : "unknown verb \"data " + words[0] + "\"",
       .next = near.empty() ? "one of " + join(names, ", ") : "did you mean " + near + "?"});
}

}  // namespace adder::cli
