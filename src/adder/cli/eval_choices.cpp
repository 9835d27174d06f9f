// adder eval choices MODEL
#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "adder/base/error.h"
#include "adder/cli/eval_result.h"
#include "adder/cli/eval_suites.h"
#include "adder/cli/loaded_model.h"
#include "adder/cli/output.h"
#include "adder/eval/choices.h"

namespace adder::cli {
namespace {

/// Answers every item; each one's result goes to `each`.
template <typename Each>
eval::TaskScores answer_all(LoadedModel& loaded, const std::string& path, Each&& each) {
  const text::Tokenizer& tokenizer = loaded.words("tasks");
  const auto& special = loaded.directory->special_tokens();
  std::optional<int32_t> start = special.bos;
  if (!start && !special.eos.empty()) start = special.eos[0];
  eval::TaskFile file(path);
  eval::TaskItem item;
  eval::TaskScores scores;
  Bar bar("answering", file.bytes(), "B");
  while (file.next(item)) {
    try {
      std::visit(
          [&](const auto& one) {
            const auto result = eval::answer(loaded.model, tokenizer, one, start);
            scores.add(result);
            each(eval::item_json(result));
          },
          item);
    } catch (const Error& error) {
      throw error.within(file.where());
    }
    bar.update(file.bytes_read());
  }
  bar.finish();
  if (scores.items() == 0) {
    throw Error(ErrorKind::kFormat, {.what = "the file holds no task", .where = path});
  }
  return scores;
}

void print_choices(const io::Json& json) {
  for (const char* kind : {"choices", "cloze"}) {
    if (!json.contains(kind)) continue;
    const io::Json& figures = json.at(kind);
    print(fmt::format("{}: {} items\n", kind, figures.at("items").get<int64_t>()));
    for (const char* name : {"acc", "acc_norm", "acc_bytes", "perplexity"}) {
      if (!figures.contains(name)) continue;
      const io::Json& error = figures.at(std::string(name) + "_stderr");
      print(fmt::format("  {:<12} {:.4f}{}\n", name, figures.at(name).get<double>(),
                        error.is_null() ? "" : fmt::format(" +- {:.4f}", error.get<double>())));
    }
  }
}

}  // namespace

int run_eval_choices(Words words) {
  std::string name, file, per_item;
  int64_t threads = 0;
  bool json = false;
  Arguments args(
      "eval choices MODEL --file TASKS [flags]",
      "Multiple-choice and cloze tasks, scored as lm-evaluation-harness 0.4.13 does. One object a "
      "line:\n"
      "  {\"context\": text, \"choices\": [text, ...], \"gold\": index}   acc, acc_norm, "
      "acc_bytes\n"
      "  {\"context\": text, \"target\": text}                         acc, perplexity\n"
      "\"query\" may stand for \"context\"; \"delimiter\" (\" \") stands between context and "
      "choice.\n"
      "acc: the choice with the largest log-likelihood; acc_norm: / its characters; acc_bytes: / "
      "its "
      "bytes.\nA text begins with the tokenizer's bos where its file asks for one (the harness's "
      "add_bos_token unset).",
      {"adder eval choices runs/first --file tasks.jsonl",
       "adder eval choices DIR --file tasks.jsonl --per-item items.jsonl --json"});
  args.positional("MODEL", name, "a model directory, a run or a checkpoint");
  args.option("file", file, "the tasks (jsonl)");
  args.option("per_item", per_item, "file for a line of results for each item");
  args.option("threads", threads, "processor threads; 0: every core");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  args.need({"file"});
  LoadedModel loaded = load_model(name, threads);
  const auto start = std::chrono::steady_clock::now();
  std::optional<io::AtomicFile> items;
  if (!per_item.empty()) items.emplace(per_item);
  const auto scores = answer_all(loaded, file, [&](const io::Json& result) {
    if (items) items->write(io::as_bytes(result.dump() + "\n"));
  });
  if (items) items->commit();
  io::Json result = scores.to_json();
  describe_run(result, loaded, {file}, start);
  if (json) print_json(result);
  if (!json) print_choices(result);
  return 0;
}

}  // namespace adder::cli
