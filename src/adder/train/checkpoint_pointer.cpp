#include "adder/train/checkpoint_pointer.h"

#include <fmt/format.h>

#include <charconv>

#include "adder/io/file.h"

namespace adder::train {

namespace fs = std::filesystem;

std::string checkpoint_name(int64_t step) {
  return fmt::format("step-{:08d}", step);
}

std::optional<int64_t> step_of(const std::string& name) {
  int64_t step = 0;
  if (!name.starts_with("step-")) return std::nullopt;
  const auto [end, error] = std::from_chars(name.data() + 5, name.data() + name.size(), step);
  if (error != std::errc() || end != name.data() + name.size()) return std::nullopt;
  return step;
}

std::optional<fs::path> pointed_checkpoint(const fs::path& pointer) {
  constexpr int64_t kLongest = 64;
  std::error_code ignored;
  if (!fs::is_regular_file(pointer, ignored)) return std::nullopt;
  if (fs::file_size(pointer, ignored) > kLongest) return std::nullopt;
  std::string name = io::read_file(pointer, kLongest);
  while (!name.empty() && name.back() == '\n') name.pop_back();
  const fs::path folder = pointer.parent_path() / name;
  if (!step_of(name) || !fs::is_directory(folder, ignored)) return std::nullopt;
  return folder;
}

void point_at(const fs::path& pointer, int64_t step) {
  io::write_file_atomic(pointer, checkpoint_name(step) + "\n");
}

}  // namespace adder::train
