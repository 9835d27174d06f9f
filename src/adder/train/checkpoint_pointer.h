// The files `latest` and `best` beside the checkpoints: each holds the name of one of them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

namespace adder::train {

/// "step-00000030"
std::string checkpoint_name(int64_t step);
/// The step of such a name; nothing for any other text.
std::optional<int64_t> step_of(const std::string& name);

/// The checkpoint that the pointer file names; nothing when it names none that is there.
std::optional<std::filesystem::path> pointed_checkpoint(const std::filesystem::path& pointer);

/// Lets the pointer file name the checkpoint of `step`, atomically.
void point_at(const std::filesystem::path& pointer, int64_t step);

}  // namespace adder::train
