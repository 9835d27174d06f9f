#include "adder/text/word_scanner.h"

#include "adder/text/unicode.h"
#include "adder/text/utf8.h"

namespace adder::text {
namespace {

struct Char {
  char32_t value;
  CharClass kind;
  size_t end;
};

// Begins at `from` < text.size().
Char char_at(std::string_view text, size_t from) {
  const auto byte = static_cast<unsigned char>(text[from]);
  if (byte < 0x80) return {byte, class_of(byte), from + 1};
  const Utf8Step step = read_utf8(text, from);
  return {step.value, class_of(step.value), from + static_cast<size_t>(step.length)};
}

size_t end_of_run(std::string_view text, size_t from, CharClass kind) {
  while (from < text.size()) {
    const Char c = char_at(text, from);
    if (c.kind != kind) break;
    from = c.end;
  }
  return from;
}

bool is_newline(char c) {
  return c == '\n' || c == '\r';
}

/// `\s+(?!\S)|\s+`: white space leaves its last character to the word after it.
size_t end_of_space(std::string_view text, size_t from) {
  size_t last = from, at = from;
  while (at < text.size()) {
    const Char c = char_at(text, at);
    if (c.kind != CharClass::kSpace) break;
    last = at;
    at = c.end;
  }
  return at == text.size() || last == from ? at : last;
}

/// The end of 's 't 're 've 'm 'll 'd at `from`, which holds the apostrophe; 0 when it is none.
size_t end_of_contraction(std::string_view text, size_t from, bool any_case) {
  const auto letter = [&](size_t at) {
    if (at >= text.size()) return '\0';
    const char c = text[at];
    return any_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  const char first = letter(from + 1), second = letter(from + 2);
  if (first == 's' || first == 'd' || first == 'm' || first == 't') return from + 2;
  if ((first == 'l' && second == 'l') || ((first == 'v' || first == 'r') && second == 'e')) {
    return from + 3;
  }
  constexpr std::string_view kLongS = "\xC5\xBF";  // the other letter whose lower case is an s
  if (any_case && text.substr(from + 1).starts_with(kLongS)) return from + 1 + kLongS.size();
  return 0;
}

/// The pattern of cl100k and Llama 3, numbers of at most `kDigits`.
template <int kDigits>
size_t cl100k_word_end(std::string_view text, size_t from) {
  if (text[from] == '\'') {
    if (const size_t end = end_of_contraction(text, from, true)) return end;
  }
  const Char first = char_at(text, from);
  if (first.kind == CharClass::kLetter) return end_of_run(text, first.end, CharClass::kLetter);
  if (first.kind == CharClass::kNumber) {
    size_t end = first.end;
    for (int i = 1; i < kDigits && end < text.size(); ++i) {
      const Char next = char_at(text, end);
      if (next.kind != CharClass::kNumber) break;
      end = next.end;
    }
    return end;
  }
  if (!is_newline(text[from]) && first.end < text.size() &&
      char_at(text, first.end).kind == CharClass::kLetter) {
    return end_of_run(text, first.end, CharClass::kLetter);
  }
  const size_t symbols = text[from] == ' ' ? first.end : from;
  if (symbols < text.size() && char_at(text, symbols).kind == CharClass::kOther) {
    size_t end = end_of_run(text, symbols, CharClass::kOther);
    while (end < text.size() && is_newline(text[end])) ++end;
    return end;
  }
  size_t newline_end = 0, at = from;  // `\s*[\r\n]+`
  while (at < text.size()) {
    const Char c = char_at(text, at);
    if (c.kind != CharClass::kSpace) break;
    if (c.value == '\n' || c.value == '\r') newline_end = c.end;
    at = c.end;
  }
  return newline_end != 0 ? newline_end : end_of_space(text, from);
}

constexpr std::string_view kLlama3Pattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr std::string_view kOneDigitPattern =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
constexpr std::string_view kGpt2AsPublished =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

}  // namespace

size_t gpt2_word_end(std::string_view text, size_t from) {
  if (text[from] == '\'') {
    if (const size_t end = end_of_contraction(text, from, false)) return end;
  }
  Char first = char_at(text, from);
  if (first.value == ' ' && first.end < text.size()) {
    const Char next = char_at(text, first.end);
    if (next.kind != CharClass::kSpace) first = next;
  }
  if (first.kind == CharClass::kSpace) return end_of_space(text, from);
  return end_of_run(text, first.end, first.kind);
}

std::optional<WordScanner> scanner_of(std::string_view pattern) {
  if (pattern == kGpt2Pattern || pattern == kGpt2AsPublished) return &gpt2_word_end;
  if (pattern == kLlama3Pattern) return &cl100k_word_end<3>;
  if (pattern == kOneDigitPattern) return &cl100k_word_end<1>;
  return std::nullopt;
}

}  // namespace adder::text
