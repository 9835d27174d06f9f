// Escapes in a separator or a stop text as a user writes it.
#pragma once

#include <string>
#include <string_view>

namespace adder::data {

/// "\n", "\t", "\r" and "\\" written as two characters become one. Throws kConfig for other
/// escapes.
std::string unescape(std::string_view text);

}  // namespace adder::data
