#include "adder/cli/model_path.h"

#include "adder/base/error.h"
#include "adder/model/directory.h"
#include "adder/train/checkpoint_pointer.h"

namespace adder::cli {
namespace fs = std::filesystem;

fs::path find_model(const std::string& name) {
  const fs::path path(name);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    throw Error(ErrorKind::kNotFound, {.what = "there is no such model",
                                       .where = name,
                                       .next = "give a model directory, or the folder of a run"});
  }
  if (!fs::is_directory(path, ignored)) {
    if (const auto folder = train::pointed_checkpoint(path)) return *folder;
    throw Error(ErrorKind::kFormat,
                {.what = "a model is a directory, not a file",
                 .where = name,
                 .next = "give the directory that holds config.json and model.safetensors"});
  }
  if (fs::exists(model::config_file(path), ignored)) return path;
  for (const fs::path& folder : {path / "checkpoints", path}) {
    for (const char* pointer : {"best", "latest"}) {
      if (const auto found = train::pointed_checkpoint(folder / pointer)) return *found;
    }
  }
  const bool run = fs::exists(path / "run.json", ignored);
  throw Error(
      ErrorKind::kNotFound,
      {.what = run ? "the run has no checkpoint yet" : "there is no model in this directory",
       .where = name,
       .why = run ? "" : "neither config.json nor checkpoints/ is in it",
       .next = run ? "wait for its first checkpoint, or train with a smaller train.save_every"
                   : "give a model directory, or the folder of a run"});
}

}  // namespace adder::cli
