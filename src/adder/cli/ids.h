// Token ids out of NumPy files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace adder::cli {

/// The integers of a one-dimensional .npy file (or one row of two). Throws kShape for another
/// shape, a type that is no integer, an empty array, or an element outside [0, vocab_size).
std::vector<int32_t> read_ids(const std::filesystem::path& path, int64_t vocab_size);

}  // namespace adder::cli
