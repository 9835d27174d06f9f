#include "adder/text/word_case.h"

#include <utf8proc.h>

#include <algorithm>

#include "adder/text/utf8.h"

namespace adder::text {
namespace {

char32_t mapped(char32_t value, utf8proc_int32_t (*map)(utf8proc_int32_t)) {
  return static_cast<char32_t>(map(static_cast<utf8proc_int32_t>(value)));
}

}  // namespace

std::string in_case(std::string_view lower, WordCase word_case) {
  if (word_case == WordCase::kLower) return std::string(lower);
  std::string out;
  for_each_code_point(lower, [&](char32_t value, size_t at) {
    const bool upper = at == 0 || word_case == WordCase::kUpper;
    append_code_point(out, upper ? mapped(value, utf8proc_toupper) : value);
  });
  return out;
}

std::optional<WordCase> fold_case(std::string_view word, std::string& lower) {
  lower.clear();
  if (std::ranges::all_of(word, [](char c) { return c >= 'a' && c <= 'z'; })) {
    lower = word;
    return WordCase::kLower;
  }
  for_each_code_point(word, [&](char32_t value, size_t) {
    append_code_point(lower, mapped(value, utf8proc_tolower));
  });
  if (lower == word) return WordCase::kLower;
  for (const WordCase each : {WordCase::kCapital, WordCase::kUpper}) {
    if (in_case(lower, each) == word) return each;
  }
  return std::nullopt;
}

}  // namespace adder::text
