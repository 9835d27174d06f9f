// The version of Adder, as `adder --version` prints it.
#pragma once

namespace adder {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace adder
