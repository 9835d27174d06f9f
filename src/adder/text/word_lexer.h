// Cuts text into words, numbers, line ends, spaces and other characters.
//
//   word      letter (letter | mark | digit | apostrophe or hyphen between two letters)*
//   number    digit+
//   newline   one line end, or two
//   spaces    U+0020+
//   other     one code point
//
// Left to right, each as long as it can be.
#pragma once

#include <cstddef>
#include <string_view>

namespace adder::text {

enum class LexKind : unsigned char { kWord, kNumber, kNewline, kSpaces, kOther };

struct Lexeme {
  LexKind kind = LexKind::kOther;
  size_t size = 0;  // bytes
};

/// What begins at byte `from` < text.size(); text is valid UTF-8.
Lexeme next_lexeme(std::string_view text, size_t from);

/// The part of a word up to its first apostrophe or hyphen; all of it when it has none. A word
/// that begins with one: that one alone.
size_t word_part_size(std::string_view word);

}  // namespace adder::text
