// Token ids out of NumPy files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace adder::cli {

/// The integers of a one-dimensional .npy file (or one row of two). Throws kShape for another
/// shape, a type that is no integer, an empty array, or a value that no token id can have.
std::vector<int32_t> read_ids(const std::filesystem::path& path);

}  // namespace adder::cli
