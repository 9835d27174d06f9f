// adder plan RECIPE: what a recipe will need.
#include "adder/train/plan.h"

#include <fmt/format.h>

#include "adder/base/error.h"
#include "adder/cli/byte_size.h"
#include "adder/cli/fine_tuning.h"
#include "adder/cli/machine.h"
#include "adder/cli/output.h"
#include "adder/cli/recipe.h"
#include "adder/cli/verbs.h"
#include "adder/data/make_tokenizer.h"

namespace adder::cli {
namespace {

/// The model that the recipe trains; its vocabulary comes from the text's tokenizer when the recipe
/// names none.
model::ModelConfig model_of(const train::Recipe& recipe) {
  model::ModelConfig config = recipe.model;
  if (config.vocab_size > 0) return config;
  const auto& data = recipe.data;
  if (data.tokenizer == "char" && data.text.empty()) {
    throw Error(ErrorKind::kConfig, {.what = "the size of the vocabulary is not known",
                                     .where = "model.vocab_size",
                                     .why = "a character tokenizer is made from the text, and "
                                            "data.text is empty",
                                     .next = "give --data.text FILE or --model.vocab_size N"});
  }
  // What bpe learns is not counted by learning it.
  config.vocab_size =
      data.tokenizer == "bpe" ? data.vocab_size : data::make_tokenizer(data)->vocab_size();
  return config;
}

/// The largest batch for `memory`: what the user gave, or what is `free`.
std::string batch_line(double memory, bool free, int64_t batch) {
  const std::string size = short_bytes(memory);
  const std::string where = free ? "this machine has " + size + " free" : "with " + size;
  if (batch == 0) return where + ": not even batch_size 1 fits\n";
  return fmt::format("{}: batch_size up to {}\n", where, batch);
}

}  // namespace

int run_plan(Words words) {
  std::string file, limit;
  bool json = false;
  LoadedRecipe loaded;
  Arguments args(
      "plan RECIPE [--key value ...] [flags]",
      "What a recipe will need: parameters, arithmetic, memory. Nothing is trained.",
      {"adder plan recipes/mamba/quickstart.toml --model.vocab_size 65",
       "adder plan recipe.toml --train.batch_size 16", "adder plan recipe.toml --memory 3GB"});
  args.positional("RECIPE", file, "a TOML file");
  args.option("memory", limit,
              "what the run may take, 3GB or 800MiB: the largest batch_size for it is told; empty: "
              "what this machine has free");
  args.option("json", json, "result as JSON on stdout");
  loaded.add_flags(args);
  if (!args.parse(words)) return 0;
  const int64_t given = limit.empty() ? 0 : parse_byte_size(limit, "--memory");
  loaded.read(file, args);
  const train::Recipe& recipe = loaded.recipe;
  loaded.settle();
  recipe.check();
  take_starting_model(loaded);
  const auto config = model_of(recipe);
  const auto plan = train::make_plan(config, recipe.train);
  const auto available = static_cast<double>(look_at_machine().memory_available);
  const double memory = limit.empty() ? available : static_cast<double>(given);
  const int64_t batch = train::largest_batch(config, recipe.train, memory);
  if (json) {
    io::Json result = train::plan_json(plan);
    result["memory_available_bytes"] = static_cast<int64_t>(available);
    result["memory_limit_bytes"] = static_cast<int64_t>(memory);
    result["largest_batch_size"] = batch;
    print_json(result);
    return 0;
  }
  print(train::plan_text(plan));
  print(batch_line(memory, limit.empty(), batch));
  if (plan.peak_bytes > memory) {
    say("warning: the run does not fit; lower train.batch_size or train.length, or set "
        "train.checkpoint_activations");
  }
  return 0;
}

}  // namespace adder::cli
