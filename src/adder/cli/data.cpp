// adder data ...: text, tokenizers, token ids and shards.
#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"
#include "adder/cli/data_verbs.h"
#include "adder/cli/help.h"
#include "adder/cli/output.h"
#include "adder/cli/verbs.h"
#include "adder/data/stories.h"
#include "adder/io/file.h"

namespace adder::cli {
namespace {

int generate(Words words) {
  int64_t bytes = 2'000'000, seed = 1;
  std::string out;
  bool json = false;
  Arguments args("data generate --out FILE [flags]",
                 "Writes small stories out of a grammar, offline: a text that a small model learns "
                 "in minutes.",
                 {"adder data generate --bytes 2000000 --seed 1 --out stories.txt"});
  args.option("out", out, "file to write");
  args.option("bytes", bytes, "least size of the text");
  args.option("seed", seed, "the same seed and size give the same bytes everywhere");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  args.need({"out"});
  if (bytes < 1) {
    throw Error(ErrorKind::kUsage,
                {.what = "--bytes must be at least 1, got " + std::to_string(bytes)});
  }
  Bar bar("writing", bytes, "B");
  io::AtomicFile file(out);
  int64_t written = 0;
  const int64_t stories =
      data::generate_stories(static_cast<uint64_t>(seed), bytes, [&](std::string_view piece) {
        file.write(io::as_bytes(piece));
        written += static_cast<int64_t>(piece.size());
        bar.update(std::min(written, bytes));
      });
  file.commit();
  bar.finish();
  if (json) print_json({{"file", out}, {"bytes", written}, {"stories", stories}, {"seed", seed}});
  say(fmt::format("{}: {} stories, {} bytes, seed {}", out, stories, written, seed));
  return 0;
}

struct DataVerb {
  std::string_view name, summary;
  VerbFunction run;
};
constexpr DataVerb kDataVerbs[] = {
    {"generate", "write small stories, offline", &generate},
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
