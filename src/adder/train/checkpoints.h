// Checkpoints of a run, after the protocol of field.md 5.3: written beside, every byte hashed and
// flushed, renamed into place; old ones are removed only when a newer one stands. A kill at any
// moment leaves the last good one.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace adder::train {

class Checkpoints {
 public:
  using Path = std::filesystem::path;
  /// Told the name of each stage of a save as it begins; tests kill the process there.
  using StageHook = std::function<void(std::string_view stage)>;

  /// In run_folder/checkpoints. Leftovers of a killed save are removed.
  Checkpoints(const Path& run_folder, int64_t keep_last, StageHook on_stage = {});

  /// Makes checkpoints/step-NNNNNNNN: `fill` writes files into the folder it is given. Throws kIo
  /// when the disk does not take it; what stood before still stands. `needed`: bytes it will take,
  /// asked of the disk first.
  Path save(int64_t step, int64_t needed, const std::function<void(const Path&)>& fill);

  /// Keeps `step` from removal, as the best so far.
  void mark_best(int64_t step);

  struct Found {
    int64_t step;
    Path folder;
    std::string skipped;  // newer checkpoints that were damaged, and how; "" when none
  };
  /// The newest whose every file has its recorded size and hash; damaged newer ones are set aside
  /// (renamed, kept). kFormat when there are some and none is whole.
  std::optional<Found> newest_good() const;

  /// The same of a run's folder, which is only looked at; nothing where none is whole.
  static std::optional<Path> newest_whole(const Path& run_folder);

  /// Throws kFormat when a file of the checkpoint is missing, shorter, longer or changed.
  static void verify(const Path& checkpoint);

  bool empty() const;

 private:
  void stage(std::string_view name) const {
    if (on_stage_) on_stage_(name);
  }
  void make_room(const Path& target, int64_t needed) const;
  void set_aside(const Path& checkpoint) const;  // as .damaged-step-NNNNNNNN
  void retire(int64_t newest);
  static std::vector<std::pair<int64_t, Path>> list(const Path& folder);  // by step

  Path folder_;
  int64_t keep_last_;
  StageHook on_stage_;
};

}  // namespace adder::train
