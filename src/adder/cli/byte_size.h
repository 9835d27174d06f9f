// Sizes of memory as people write them.
#pragma once

#include <cstdint>
#include <string>

namespace adder::cli {

/// Bytes of "3GB", "3.5 GiB", "800M" or "4000000000": B, kB, MB, GB, TB are powers of 1000, KiB,
/// MiB, GiB, TiB of 1024; case and a last "B" do not matter. Throws kUsage with `where` for
/// anything else, and for a size below one byte or above 2^62.
int64_t parse_byte_size(const std::string& text, const std::string& where);

}  // namespace adder::cli
