#include "adder/text/word_lexer.h"

#include <array>

#include "adder/text/utf8.h"
#include "adder/text/word_characters.h"

namespace adder::text {
namespace {

struct Read {
  WordPart part;
  size_t size;
};

const std::array<WordPart, 128>& ascii_parts() {
  static const auto parts = [] {
    std::array<WordPart, 128> made{};
    for (char32_t at = 0; at < 128; ++at) made[at] = word_character(at).part;
    return made;
  }();
  return parts;
}

Read read(const std::array<WordPart, 128>& ascii, std::string_view text, size_t at) {
  const auto byte = static_cast<unsigned char>(text[at]);
  if (byte < 0x80) return {ascii[byte], 1};
  const Utf8Step step = read_utf8(text, at);
  return {word_character(step.value).part, static_cast<size_t>(step.length)};
}

/// The end of the word whose first letter ends at `at`.
size_t word_end(const std::array<WordPart, 128>& ascii, std::string_view text, size_t at) {
  bool after_letter = true;
  while (at < text.size()) {
    const Read next = read(ascii, text, at);
    if (next.part == WordPart::kLetter) {
      after_letter = true;
    } else if (next.part == WordPart::kDigit) {
      after_letter = false;
    } else if (next.part == WordPart::kJoint) {
      const size_t beyond = at + next.size;
      if (!after_letter || beyond == text.size()) break;
      const Read letter = read(ascii, text, beyond);
      if (letter.part != WordPart::kLetter) break;
      at = beyond + letter.size;
      continue;
    } else if (next.part != WordPart::kMark) {
      break;
    }
    at += next.size;
  }
  return at;
}

/// The end of what goes on with `part`.
size_t run_end(const std::array<WordPart, 128>& ascii, std::string_view text, size_t at,
               WordPart part) {
  while (at < text.size()) {
    const Read next = read(ascii, text, at);
    if (next.part != part) break;
    at += next.size;
  }
  return at;
}

}  // namespace

Lexeme next_lexeme(std::string_view text, size_t from) {
  const auto& ascii = ascii_parts();
  const Read first = read(ascii, text, from);
  const size_t after = from + first.size;
  switch (first.part) {
    case WordPart::kLetter:
      return {LexKind::kWord, word_end(ascii, text, after) - from};
    case WordPart::kDigit:
      return {LexKind::kNumber, run_end(ascii, text, after, WordPart::kDigit) - from};
    case WordPart::kSpace:
      return {LexKind::kSpaces, run_end(ascii, text, after, WordPart::kSpace) - from};
    case WordPart::kNewline:
      return {LexKind::kNewline, after < text.size() && text[after] == '\n' ? size_t{2} : 1};
    default:
      return {LexKind::kOther, first.size};
  }
}

size_t word_part_size(std::string_view word) {
  const auto& ascii = ascii_parts();
  for (size_t at = 0; at < word.size();) {
    const Read next = read(ascii, word, at);
    if (next.part == WordPart::kJoint) return at == 0 ? next.size : at;
    at += next.size;
  }
  return word.size();
}

}  // namespace adder::text
