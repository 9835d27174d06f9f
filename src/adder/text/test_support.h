// What several tests of this room use.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "adder/base/error.h"

namespace adder::text {

inline const std::filesystem::path kGolden =
    std::filesystem::path(ADDER_SOURCE_DIR) / "tests/golden/tokenizers";

/// What the error of `action` says.
inline std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace adder::text
