// What a character is to the word tokenizer: how it takes part in words, and what usually stands
// between it and its neighbours.
#pragma once

#include <cstdint>

namespace adder::text {

/// By Unicode's general category.
enum class WordPart : uint8_t {
  kLetter,   // L
  kMark,     // M
  kDigit,    // Nd
  kJoint,    // an apostrophe or hyphen: part of a word between two letters
  kSpace,    // U+0020
  kNewline,  // U+000A
  kOther,
};

/// How a token is spaced (word_spacing.h).
enum class Spacing : uint8_t {
  kBlank,    // white space, control tokens, the beginning of a text: no space on either side
  kWord,     // a word, and symbols that stand like one: "&", "="
  kSpelled,  // a letter, mark or digit of a word that is spelled
  kOpening,  // "(", "$": no space after it
  kClosing,  // ",", ")": no space before it
  kTight,    // a dash or slash: no space on either side
  kQuote,    // the signs that open and close alike: kOpening or kClosing, by what stands before
};

struct WordCharacter {
  WordPart part = WordPart::kOther;
  Spacing spacing = Spacing::kWord;
};

WordCharacter word_character(char32_t value);

}  // namespace adder::text
