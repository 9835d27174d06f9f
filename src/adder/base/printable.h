// Text from a file on its way to a terminal.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace adder {

/// `text` with what could steer a terminal or forge a line made visible: control characters, those
/// that turn the direction of writing, and bytes that are not UTF-8 become \xNN, one for each byte.
/// A line after the first is indented, so that it cannot pass for one of the program's own. What is
/// beyond `max_bytes` of the text is left out, with a note.
std::string printable(std::string_view text, std::size_t max_bytes);

}  // namespace adder
