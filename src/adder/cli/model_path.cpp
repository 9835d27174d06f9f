#include "adder/cli/model_path.h"

#include "adder/base/error.h"
#include "adder/io/file.h"

namespace adder::cli {
namespace {

namespace fs = std::filesystem;

/// The checkpoint that a pointer file ("step-00000030\n") names; empty when it names none.
fs::path pointed(const fs::path& pointer) {
  std::error_code ignored;
  if (!fs::is_regular_file(pointer, ignored)) return {};
  constexpr int64_t kLongest = 64;
  if (fs::file_size(pointer, ignored) > kLongest) return {};
  std::string name = io::read_file(pointer, kLongest);
  while (!name.empty() && name.back() == '\n') name.pop_back();
  if (!name.starts_with("step-") || name.find('/') != std::string::npos) return {};
  const fs::path folder = pointer.parent_path() / name;
  return fs::is_directory(folder, ignored) ? folder : fs::path();
}

}  // namespace

fs::path find_model(const std::string& name) {
  const fs::path path(name);
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    throw Error(ErrorKind::kNotFound, {.what = "there is no such model",
                                       .where = name,
                                       .next = "give a model directory, or the folder of a run"});
  }
  if (!fs::is_directory(path, ignored)) {
    if (const auto folder = pointed(path); !folder.empty()) return folder;
    throw Error(ErrorKind::kFormat,
                {.what = "a model is a directory, not a file",
                 .where = name,
                 .next = "give the directory that holds config.json and model.safetensors"});
  }
  if (fs::exists(path / "config.json", ignored)) return path;
  for (const fs::path& folder : {path / "checkpoints", path}) {
    for (const char* pointer : {"best", "latest"}) {
      if (const auto found = pointed(folder / pointer); !found.empty()) return found;
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
