// Checks of option values that every spec needs, with errors that name the option.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace adder::model {

/// No model has sizes beyond these; they keep every product of a few sizes inside 63 bits.
inline constexpr int64_t kMaxWidth = int64_t{1} << 20;
inline constexpr int64_t kMaxLayers = int64_t{1} << 14;
inline constexpr int64_t kMaxVocab = int64_t{1} << 24;

/// Throws kConfig: "KEY = VALUE: WHY".
[[noreturn]] void fail_option(std::string_view key, const std::string& value, std::string why);

/// lowest <= value <= highest.
void require_within(std::string_view key, int64_t value, int64_t lowest, int64_t highest);
/// A finite number >= lowest (above, when `strictly`) and <= highest.
void require_number(std::string_view key, double value, double lowest, double highest,
                    bool strictly = false);
void require_choice(std::string_view key, const std::string& value,
                    const std::vector<std::string>& choices);

}  // namespace adder::model
