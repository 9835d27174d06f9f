// What a user may name as a model.
#pragma once

#include <filesystem>
#include <string>

namespace adder::cli {

/// The model directory that `name` means: one with config.json or params.json, a run's folder (its
/// best checkpoint, else its latest), its checkpoints/ folder, or checkpoints/best and
/// checkpoints/latest. Throws kNotFound or kFormat.
std::filesystem::path find_model(const std::string& name);

}  // namespace adder::cli
