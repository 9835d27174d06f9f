// Small pieces of text that pages are made of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace adder::train {

/// Text as it may stand between tags and in quoted attributes. Control characters but newline and
/// tab become U+FFFD.
std::string escape_html(std::string_view text);

/// Four figures: "1.234", "0.0312", "3e-04", "12,480". "–" for what is not finite.
std::string format_number(double value);

/// With a letter for thousands: "812", "12.5k", "4.13M", "1.2G".
std::string format_short(double value);

/// "812 B", "12.5 MB", "1.21 GB" (powers of ten).
std::string format_bytes(double bytes);

}  // namespace adder::train
