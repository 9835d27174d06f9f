// Text as Python counts it, for figures that must equal the common harness's.
#pragma once

#include <cstdint>
#include <string_view>

namespace adder::eval {

/// Code points of valid UTF-8: what len() of a Python string is.
int64_t character_count(std::string_view text);

/// `text` up to its last character that is not white space, as str.rstrip() of Python sees it.
std::string_view without_trailing_space(std::string_view text);

}  // namespace adder::eval
