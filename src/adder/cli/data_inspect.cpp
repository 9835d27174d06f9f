// adder data inspect: checks token shards and shows what the model will see.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "adder/base/error.h"
#include "adder/cli/data_verbs.h"
#include "adder/cli/fine_tuning.h"
#include "adder/cli/output.h"
#include "adder/cli/prepare_text.h"
#include "adder/cli/recipe.h"
#include "adder/data/inspect.h"
#include "adder/data/loader.h"

namespace adder::cli {
namespace {

constexpr int64_t kMaxRows = 1000;
constexpr int64_t kMaxShown = int64_t{1} << 24;  // tokens

struct InspectOptions {
  int64_t rows = 4, length = 64, seed = 1;
  int64_t stride = 0;  // of a recipe
  std::string mode = "packed";

  void check() const {
    if (rows < 1 || rows > kMaxRows) {
      throw Error(ErrorKind::kUsage,
                  {.what = fmt::format("--rows must be 1 to {}, got {}", kMaxRows, rows)});
    }
    if (length < 1 || length > kMaxShown / rows) {
      throw Error(ErrorKind::kUsage,
                  {.what = fmt::format("--length must be 1 to {} for {} rows, got {}",
                                       kMaxShown / rows, rows, length)});
    }
  }
};

data::PreparedData open_shards(const std::string& folder) {
  if (!std::filesystem::exists(std::filesystem::path(folder) / data::kManifestName)) {
    throw Error(ErrorKind::kNotFound,
                {.what = "there is nothing to inspect",
                 .where = folder,
                 .why = std::filesystem::exists(folder)
                            ? "it is neither a folder of token shards nor a recipe (.toml)"
                            : "no file or folder of that name is there",
                 .next = "give a folder that `adder data shard` wrote, or a recipe"});
  }
  return data::prepare({.text = {folder}, .val_fraction = 0});
}

/// The rows of the first training batch; never more than there are windows.
data::Batch first_batch(const data::PreparedData& data, const InspectOptions& options) {
  data::LoaderOptions loader{.batch_size = 1,
                             .length = options.length,
                             .seed = options.seed,
                             .mode = data::parse_pack_mode(options.mode),
                             .stride = options.stride};
  const data::TokenLoader one(*data.shards, data.split.train, loader);
  int64_t windows = 0;
  for (size_t i = 0; i < data.split.train.size(); ++i) windows += one.windows(0, i);
  loader.batch_size = std::min(options.rows, windows);
  return data::TokenLoader(*data.shards, data.split.train, loader).next();
}

io::Json counts_json(const data::BatchCounts& counts) {
  return {{"rows", counts.rows},
          {"length", counts.length},
          {"predictions", counts.predictions},
          {"ignored", counts.ignored},
          {"padding", counts.padding}};
}

void say_split(const io::Json& split) {
  for (const auto& part : split["training"]) {
    const std::string name = part["name"];
    say(fmt::format("training  {:5.1f} %  {} tokens, {} documents{}",
                    100 * part["share"].get<double>(), part["tokens"].get<int64_t>(),
                    part["documents"].get<int64_t>(), name.empty() ? "" : "  " + name));
  }
  for (const auto& part : split["held_out"]) {
    say(fmt::format("held out           {} tokens, {} documents", part["tokens"].get<int64_t>(),
                    part["documents"].get<int64_t>()));
  }
}

}  // namespace

int run_data_inspect(Words words) {
  std::string path;
  InspectOptions options;
  bool json = false;
  LoadedRecipe loaded;
  Arguments args("data inspect DIR|RECIPE [flags]",
                 "Checks token shards and shows training rows as the model sees them: of a folder "
                 "of shards, or of what a recipe (.toml) makes of its text.",
                 {"adder data inspect shards --rows 2 --length 80",
                  "adder data inspect recipe.toml --data.text books/ --json"});
  args.positional("DIR|RECIPE", path, "folder that `adder data shard` wrote, or a recipe");
  args.option("rows", options.rows, "rows to show");
  args.option("length", options.length, "tokens in a row; of a recipe: train.length");
  args.choice("mode", options.mode, {"packed", "docs"}, "of a recipe: data.mode");
  args.option("seed", options.seed, "of the order; of a recipe: train.seed");
  args.option("json", json, "manifest, shares, counts and rows as JSON on stdout");
  loaded.add_flags(args);
  if (!args.parse(words)) return 0;
  const bool recipe = std::filesystem::path(path).extension() == ".toml";
  if (recipe) {
    loaded.read(path, args);
    loaded.settle();
    take_starting_model(loaded);
    if (!args.given("length")) options.length = loaded.recipe.train.length;
    if (!args.given("mode")) options.mode = loaded.recipe.data.mode;
    if (!args.given("seed")) options.seed = loaded.recipe.train.seed;
    options.stride = loaded.recipe.data.stride;
    if (args.given("length")) options.stride = std::min(options.stride, options.length);
  }
  options.check();
  const auto data = recipe ? prepare_text(loaded) : open_shards(path);
  const auto& manifest = data.shards->manifest();
  const io::Json split = data::describe_split(*data.shards, data.split);
  say(fmt::format("{}: {} tokens of {}, {} documents, {} tokenizer; every hash is right",
                  data.shards->folder().string(), manifest.tokens, manifest.vocab_size,
                  data.shards->document_count(), manifest.tokenizer_kind));
  say_split(split);
  const auto batch = first_batch(data, options);
  const auto lines = data::describe_rows(batch, *data.tokenizer, options.rows);
  const auto counts = data::count_batch(batch);
  if (json) {
    print_json({{"manifest", manifest.to_json()},
                {"training", split["training"]},
                {"held_out", split["held_out"]},
                {"batch", counts_json(counts)},
                {"rows", lines}});
    return 0;
  }
  for (size_t row = 0; row < lines.size(); ++row)
    print(fmt::format("row {}: {}\n", row, lines[row]));
  print(
      fmt::format("{} rows of {} tokens: {} predictions, {} targets left out, {} of them padding\n",
                  counts.rows, counts.length, counts.predictions, counts.ignored, counts.padding));
  return 0;
}

}  // namespace adder::cli
