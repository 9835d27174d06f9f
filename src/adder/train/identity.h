// Whether a checkpoint belongs to the task that wants to go on with it.
#pragma once

#include <filesystem>

#include "adder/io/json.h"

namespace adder::train {

/// `stored`, `mine`: Task::identity() of the checkpoint and of the task. Throws kConfig when they
/// differ, naming what does; `file`: where `stored` stands.
void check_identity(const io::Json& stored, const io::Json& mine,
                    const std::filesystem::path& file);

}  // namespace adder::train
