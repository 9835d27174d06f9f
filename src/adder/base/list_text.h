// A list of words as one text, for flags, recipes and metadata: "a,b,c".
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace adder {

/// Joins with commas. Inside an element "," is written "\,", "\" is "\\", and an empty element is
/// "\e", so that split_list gives back exactly what went in. No element at all is "".
std::string join_list(std::span<const std::string> elements);

/// The reverse; spaces around an element are dropped unless escaped with "\".
std::vector<std::string> split_list(std::string_view text);

}  // namespace adder
