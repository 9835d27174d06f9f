// Case of words for vocabularies that fold it: a marker and a word without capitals.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace adder::text {

enum class WordCase : unsigned char {
  kLower,    // as it is
  kCapital,  // its first character is a capital
  kUpper,    // all its letters are, and they are two or more
};

/// `lower` (valid UTF-8) in this case, by Unicode's simple mappings.
std::string in_case(std::string_view lower, WordCase word_case);

/// The case of `word`, and in `lower` the word without capitals: in_case(lower, case) == word.
/// Nothing where there is none such ("McGee").
std::optional<WordCase> fold_case(std::string_view word, std::string& lower);

}  // namespace adder::text
