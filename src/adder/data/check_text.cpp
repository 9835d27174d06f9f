#include "adder/data/check_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"
#include "adder/text/utf8.h"

namespace adder::data {

void check_characters(std::string_view text, const TextPlace& begin) {
  const size_t bad = std::min(text.find('\0'), text::valid_utf8_prefix(text));
  if (bad == text.size()) return;
  const auto line = begin.line + std::ranges::count(text.substr(0, bad), '\n');
  const std::string where =
      fmt::format("{}:{}, byte {}", begin.file, line, begin.byte + static_cast<int64_t>(bad));
  if (text[bad] == '\0') {
    throw Error(ErrorKind::kFormat, {.what = "the file is binary, not text",
                                     .where = where,
                                     .why = "a NUL byte stands there",
                                     .next = "give a text file in UTF-8 (UTF-16 has NUL bytes: "
                                             "convert it, with iconv, say)"});
  }
  try {
    text::throw_ill_formed(text, bad);
  } catch (const Error& error) {
    ErrorText said = error.text();
    said.where = where;
    throw Error(error.kind(), std::move(said));
  }
}

void throw_empty_text(const std::string& file) {
  throw Error(ErrorKind::kFormat, {.what = "the text file is empty",
                                   .where = file,
                                   .why = "there is nothing to learn from",
                                   .next = "give a file with text in it"});
}

}  // namespace adder::data
