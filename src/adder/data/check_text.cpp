#include "adder/data/check_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "adder/base/error.h"
#include "adder/text/utf8.h"

namespace adder::data {
void check_encoding(std::string_view beginning, const std::string& file) {
  if (!beginning.starts_with("\xFF\xFE") && !beginning.starts_with("\xFE\xFF")) return;
  throw Error(ErrorKind::kFormat, {.what = "the text is in UTF-16, not in UTF-8",
                                   .where = file,
                                   .why = "it begins with the byte order mark of UTF-16",
                                   .next = "convert it: iconv -f UTF-16 -t UTF-8 FILE > NEW"});
}

void check_characters(std::string_view text, const TextPlace& begin) {
  const size_t bad = std::min(text.find('\0'), text::valid_utf8_prefix(text));
  if (bad == text.size()) return;
  const auto line = begin.line + std::ranges::count(text.substr(0, bad), '\n');
  const std::string where =
      fmt::format("{}:{}, byte {}", begin.file, line, begin.byte + static_cast<int64_t>(bad));
  if (text.find('\0') != std::string_view::npos) {
    throw Error(ErrorKind::kFormat,
                {.what = "the file is binary, not text",
                 .where = where,
                 .why = "there are NUL bytes in it",
                 .next = "give a text file in UTF-8, or .gz or .zst of one with that ending"});
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
