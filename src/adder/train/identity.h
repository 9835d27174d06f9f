// Whether a checkpoint belongs to the task that wants to go on with it.
#pragma once

#include <filesystem>

#include "adder/io/json.h"
#include "adder/model/config.h"

namespace adder::train {

/// Every option of a model as text, by key: what Task::identity() has as "model".
io::Json model_identity(model::ModelConfig config);

/// `stored`, `mine`: Task::identity() of the checkpoint and of the task. Throws kConfig when they
/// differ, naming what does ("model.norm"); `file`: where `stored` stands. An option that one
/// side's "model" lacks came later than it, and has its default there: what models were before it.
void check_identity(const io::Json& stored, const io::Json& mine,
                    const std::filesystem::path& file);

}  // namespace adder::train
