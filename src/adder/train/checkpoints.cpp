#include "adder/train/checkpoints.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "adder/base/error.h"
#include "adder/base/log.h"
#include "adder/io/file.h"
#include "adder/io/hash.h"
#include "adder/io/json.h"
#include "adder/train/checkpoint_pointer.h"

namespace adder::train {

namespace fs = std::filesystem;

namespace {

constexpr const char* kManifest = "manifest.json";

/// Runs `work`, with the system's refusals as errors of the house.
template <typename Work>
auto guarded(const Work& work) {
  try {
    return work();
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorKind::kIo, {.what = "the checkpoints' folder cannot be worked with",
                                 .where = error.path1().string(),
                                 .why = error.code().message()});
  }
}

/// The path that a manifest names, kept from leading out of the folder.
fs::path inside(const std::string& name) {
  const fs::path path = fs::path(name).lexically_normal().relative_path();
  return path.empty() || *path.begin() == ".." ? path.filename() : path;
}

void write_manifest(const fs::path& folder) {
  io::Json files = io::Json::object();
  std::vector<fs::path> names;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) names.push_back(entry.path().lexically_relative(folder));
  }
  std::sort(names.begin(), names.end());
  for (const fs::path& name : names) {
    files[name.string()] = {{"bytes", fs::file_size(folder / name)},
                            {"xxh128", io::hash128_file_hex(folder / name)}};
  }
  io::write_json_file(folder / kManifest, {{"files", files}});
}

}  // namespace

Checkpoints::Checkpoints(const Path& run_folder, int64_t keep_last, StageHook on_stage)
    : folder_(run_folder / "checkpoints"),
      keep_last_(std::max<int64_t>(1, keep_last)),
      on_stage_(std::move(on_stage)) {
  io::make_directories(folder_);
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with(".tmp-") || name.starts_with(".trash-")) fs::remove_all(entry.path());
  }
}

Checkpoints::Path Checkpoints::save(int64_t step, int64_t needed,
                                    const std::function<void(const Path&)>& fill) {
  const Path target = folder_ / checkpoint_name(step);
  guarded([&] { make_room(target, needed); });
  guarded([&] {
    io::AtomicDirectory directory(target);
    stage("fill");
    fill(directory.staging());
    stage("manifest");
    write_manifest(directory.staging());
    stage("commit");
    directory.commit();
  });
  stage("latest");
  point_at(folder_ / "latest", step);
  stage("retire");
  try {
    retire(step);
  } catch (const fs::filesystem_error& error) {  // the new one stands all the same
    log_warn_once("checkpoints.retire",
                  std::string("an old checkpoint could not be removed: ") + error.what());
  }
  stage("done");
  return target;
}

void Checkpoints::make_room(const Path& target, int64_t needed) const {
  const auto available = static_cast<int64_t>(fs::space(folder_).available);
  if (available / 11 * 10 < needed) {  // 1.1 times as much as needed
    throw Error(ErrorKind::kIo, {.what = "there is no room for a checkpoint",
                                 .where = folder_.string(),
                                 .why = fmt::format("{} MB are free, {} MB are needed",
                                                    available >> 20, needed >> 20),
                                 .next = "free some space, or lower train.keep_last"});
  }
  if (fs::exists(target)) set_aside(target);  // of a run that was rolled back to before it
}

void Checkpoints::set_aside(const Path& checkpoint) const {
  const Path aside = folder_ / (".damaged-" + checkpoint.filename().string());
  fs::remove_all(aside);
  fs::rename(checkpoint, aside);
}

void Checkpoints::mark_best(int64_t step) {
  point_at(folder_ / "best", step);
}

void Checkpoints::retire(int64_t newest) {
  const auto best = pointed_checkpoint(folder_ / "best");
  std::vector<Path> old;
  for (const auto& [step, path] : list(folder_)) {
    if (step <= newest) old.push_back(path);
  }
  const auto spare = static_cast<int64_t>(old.size()) - keep_last_;
  for (int64_t i = 0; i < spare; ++i) {
    const Path& path = old[static_cast<size_t>(i)];
    if (best && *best == path) continue;
    const Path trash = folder_ / (".trash-" + path.filename().string());
    fs::rename(path, trash);
    stage("remove");
    fs::remove_all(trash);
  }
}

std::vector<std::pair<int64_t, Checkpoints::Path>> Checkpoints::list(const Path& folder) {
  std::vector<std::pair<int64_t, Path>> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (const auto step = step_of(entry.path().filename().string()); step && entry.is_directory()) {
      found.emplace_back(*step, entry.path());
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

bool Checkpoints::empty() const {
  return list(folder_).empty();
}

void Checkpoints::verify(const Path& checkpoint) {
  const auto manifest = io::read_json_file(checkpoint / kManifest);
  const io::JsonView view(manifest, (checkpoint / kManifest).string());
  for (const auto& [name, recorded] : view.at("files").json().items()) {
    const io::JsonView file = view.at("files").at(name);
    const Path path = checkpoint / inside(name);
    const auto fail = [&](const std::string& why) {
      throw Error(ErrorKind::kFormat,
                  {.what = "a checkpoint is damaged", .where = path.string(), .why = why});
    };
    if (!fs::is_regular_file(path)) fail("the file is missing");
    const int64_t size = static_cast<int64_t>(fs::file_size(path));
    if (size != file.at("bytes").as_integer(0)) {
      fail(fmt::format("it has {} bytes, {} were written", size, file.at("bytes").as_integer(0)));
    }
    if (io::hash128_file_hex(path) != file.at("xxh128").as_string())
      fail("its content has changed");
  }
}

std::optional<Checkpoints::Path> Checkpoints::newest_whole(const Path& run_folder) {
  const Path folder = run_folder / "checkpoints";
  if (!fs::is_directory(folder)) return std::nullopt;
  const auto all = guarded([&] { return list(folder); });
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    try {
      guarded([&] { verify(it->second); });
      return it->second;
    } catch (const Error&) {  // newest_good() says it when the run goes on
    }
  }
  return std::nullopt;
}

std::optional<Checkpoints::Found> Checkpoints::newest_good() const {
  std::string skipped;
  std::vector<Path> damaged;
  const auto all = guarded([&] { return list(folder_); });
  for (auto it = all.rbegin(); it != all.rend(); ++it) {
    try {
      guarded([&] { verify(it->second); });
    } catch (const Error& error) {
      skipped += (skipped.empty() ? "" : "\n") + std::string(error.what());
      damaged.push_back(it->second);
      continue;
    }
    // Out of the way of what will be counted and kept from here on.
    for (const Path& path : damaged) guarded([&] { set_aside(path); });
    return Found{it->first, it->second, skipped};
  }
  if (!skipped.empty()) {
    throw Error(ErrorKind::kFormat, {.what = "no checkpoint of the run is whole",
                                     .where = folder_.string(),
                                     .why = skipped,
                                     .next = "train again into a new folder"});
  }
  return std::nullopt;
}

}  // namespace adder::train
