// adder convert SRC DST: a model in another layout or type.
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "adder/base/error.h"
#include "adder/base/log.h"
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

/// The files of tokenizers and chat templates that may stand beside the weights.
bool is_companion(const std::string& name) {
  constexpr const char* names[] = {"tokenizer.json",        "word_tokenizer.json",
                                   "tokenizer_config.json", "special_tokens_map.json",
                                   "chat_template.json",    "chat_template.jinja"};
  return name.starts_with("tokenizer.model") || std::ranges::find(names, name) != std::end(names);
}

bool lies_in(const fs::path& path, const fs::path& folder) {
  return std::ranges::mismatch(folder, path).in1 == folder.end();
}

/// May the file be copied? A symbolic link in a downloaded model could lead to any file of the
/// user's; it is followed inside the model's own folder and into the `blobs` of Hugging Face's
/// cache, which is `blobs` and `snapshots/REVISION` side by side.
bool may_copy(const fs::path& file) {
  std::error_code code;
  const fs::path folder = fs::canonical(file.parent_path(), code);
  const fs::path leads_to = fs::canonical(file, code);
  if (code || !fs::is_regular_file(leads_to, code)) return false;
  const fs::path above = folder.parent_path();
  const bool snapshot = above.filename() == "snapshots";
  return lies_in(leads_to, folder) || lies_in(leads_to, above / "blobs") ||
         (snapshot && lies_in(leads_to, above.parent_path() / "blobs"));
}

/// The files beside the weights: tokenizers go along unchanged, and so does what the source says
/// about generation, but for the control tokens that are in the target already.
void copy_companions(const fs::path& from, const fs::path& to) {
  constexpr int64_t kLargest = int64_t{256} << 20;
  for (const auto& entry : fs::directory_iterator(from)) {
    const std::string name = entry.path().filename().string();
    if (!is_companion(name)) continue;
    if (may_copy(entry.path())) {
      io::write_file_atomic(to / name, io::read_file(entry.path(), kLargest));
    } else {
      log_warn_once("convert.companion." + name,
                    entry.path().string() +
                        " is not copied: it is no file, or a link that leaves the model's folder");
    }
  }
  const char* generation = "generation_config.json";
  if (!fs::exists(from / generation) || !may_copy(from / generation)) return;
  io::Json json = io::read_json_file(from / generation);
  json.update(io::read_json_file(to / generation));
  io::write_json_file(to / generation, json);
}

struct Target {
  const char* name;  // after --to, and in the JSON result
  model::SaveLayout layout;
  const char* words;
};

constexpr Target kTargets[] = {
    {"any", model::SaveLayout::kAny, ""},
    {"hf", model::SaveLayout::kHf, "Hugging Face layout"},
    {"adder", model::SaveLayout::kAdder, "Adder's layout"},
    {"original", model::SaveLayout::kOriginal, "the original authors' layout"}};

/// The layout that `any` means for this model.
const Target& target_of(const std::string& name, const model::ModelConfig& config) {
  const bool any = name == "any";
  const std::string wanted = !any ? name : model::hf_misfit(config) ? "adder" : "hf";
  return *std::ranges::find(kTargets, wanted, &Target::name);
}

/// Before the first byte: tensors that share a storage in the source do not in the target, so that
/// a small file may make a large one.
void check_space(const fs::path& folder, int64_t bytes) {
  std::error_code code;
  const fs::space_info space = fs::space(folder, code);
  if (code || space.available >= static_cast<uintmax_t>(bytes)) return;
  throw Error(ErrorKind::kIo,
              {.what = "the disk has no room for the converted model",
               .where = folder.parent_path().string(),
               .why = short_bytes(static_cast<double>(bytes)) + " are due, " +
                      short_bytes(static_cast<double>(space.available)) + " are free",
               .next = "free some space, or convert to a smaller --dtype"});
}

void convert(const model::ModelDirectory& source, const fs::path& target, model::SaveLayout layout,
             std::optional<DType> dtype) {
  const int64_t bytes = model::saved_bytes(source.config(), source.weights(), dtype);
  io::AtomicDirectory out{target};
  check_space(out.staging(), bytes);
  Bar bar("converting", bytes, "B");
  model::save_model(
      out.staging(), source.config(), source.weights(),
      {.special_tokens = source.special_tokens(),
       .tokenizer_hash = model::read_tokenizer_hash(model::config_file(source.folder())),
       .dtype = dtype,
       .layout = layout,
       .source = &source,
       .progress = [&](int64_t bytes) { bar.update(bytes); }});
  bar.finish();
  copy_companions(source.folder(), out.staging());
  out.commit();
}

}  // namespace

int run_convert(Words words) {
  std::string source, target, layout = "any", dtype = "same";
  bool json = false;
  Arguments args("convert SRC DST [flags]",
                 "Writes a model directory in another layout or number type.",
                 {"adder convert runs/first stories-hf --to hf",
                  "adder convert mamba2-130m small --dtype bf16",
                  "adder convert mamba-130m-hf mamba-130m --to original"});
  args.positional(
      "SRC", source,
      "a model directory (Adder's, Hugging Face's, the Mamba authors', Mistral's), a run "
      "or a checkpoint");
  args.positional("DST", target, "directory to make");
  args.choice(
      "to", layout, {"any", "hf", "adder", "original"},
      "hf: Hugging Face's mamba, falcon_mamba or mamba2 layout, or an error that names what "
      "does not fit; original: the Mamba authors' config.json and pytorch_model.bin, "
      "likewise; adder: Adder's own; any: Hugging Face's where the model fits, else Adder's");
  args.choice("dtype", dtype, {"same", "f32", "bf16", "f16"},
              "type of the weights; those that need f32 keep it");
  args.option("json", json, "result as JSON on stdout");
  if (!args.parse(words)) return 0;
  io::check_output_folder(target);
  const auto directory = model::ModelDirectory::open(find_model(source), model::Bytes::kAsStored);
  const Target& chosen = target_of(layout, directory.config());
  convert(directory, target, chosen.layout, dtype_of(dtype));
  const int64_t parameters = model::parameter_count(directory.config());
  if (json) {
    print_json({{"directory", target}, {"layout", chosen.name}, {"parameters", parameters}});
  }
  say(fmt::format("{}: {} parameters, {}", target, parameters, chosen.words));
  return 0;
}

}  // namespace adder::cli
