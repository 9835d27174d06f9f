// adder convert SRC DST: a model in another layout or type.
#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include "adder/base/error.h"
#include "adder/cli/model_path.h"
#include "adder/cli/output.h"
#include "adder/cli/verbs.h"
#include "adder/io/file.h"
#include "adder/io/output_path.h"
#include "adder/model/directory.h"
#include "adder/model/hf.h"

namespace adder::cli {
namespace {

namespace fs = std::filesystem;

std::optional<DType> dtype_of(const std::string& word) {
  if (word == "f32") return DType::f32;
  if (word == "bf16") return DType::bf16;
  if (word == "f16") return DType::f16;
  return std::nullopt;
}

/// The files beside the weights: tokenizers go along unchanged, and so does what the source says
/// about generation, but for the control tokens that are in the target already.
void copy_companions(const fs::path& from, const fs::path& to) {
  constexpr int64_t kLargest = int64_t{256} << 20;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"}) {
    if (!fs::exists(from / name)) continue;
    io::write_file_atomic(to / name, io::read_file(from / name, kLargest));
  }
  const char* generation = "generation_config.json";
  if (!fs::exists(from / generation)) return;
  io::Json json = io::read_json_file(from / generation);
  json.update(io::read_json_file(to / generation));
  io::write_json_file(to / generation, json);
}

}  // namespace

int run_convert(Words words) {
  std::string source, target, layout = "any", dtype = "same";
  bool json = false;
  Arguments args("convert SRC DST [flags]",
                 "Writes a model directory in another layout or number type.",
                 {"adder convert runs/first stories-hf --to hf",
                  "adder convert mamba2-130m small --dtype bf16",
                  "adder convert stories-hf stories --to adder"});
  args.positional("SRC", source, "a model directory, a run or a checkpoint");
  args.positional("DST", target, "directory to make");
  args.choice(
      "to", layout, {"any", "hf", "adder"},
      "hf: Hugging Face's mamba2 layout, or an error that names what does not fit; adder: Adder's "
      "own; any: Hugging Face's where the model fits, else Adder's");
  args.choice("dtype", dtype, {"same", "f32", "bf16", "f16"},
              "type of the weights; those that need f32 keep it");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  io::check_output_folder(target);
  const auto folder = find_model(source);
  const auto directory = model::ModelDirectory::open(folder);
  if (layout == "hf") model::config_to_hf(directory.config());  // throws when it does not fit
  io::AtomicDirectory out{fs::path(target)};
  model::save_model(out.staging(), directory.config(), directory.weights(),
                    {.special_tokens = directory.special_tokens(),
                     .dtype = dtype_of(dtype),
                     .adder_layout = layout == "adder"});
  copy_companions(folder, out.staging());
  out.commit();
  const bool hf = layout != "adder" && !model::hf_misfit(directory.config());
  const int64_t parameters = model::parameter_count(directory.config());
  if (json) {
    print_json(
        {{"directory", target}, {"layout", hf ? "hf" : "adder"}, {"parameters", parameters}});
  }
  say(fmt::format("{}: {} parameters, {} layout", target, parameters,
                  hf ? "Hugging Face" : "Adder's"));
  return 0;
}

}  // namespace adder::cli
