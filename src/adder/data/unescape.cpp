#include "adder/data/unescape.h"

#include <fmt/format.h>

#include "adder/base/error.h"

namespace adder::data {

std::string unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(text[i]);
      continue;
    }
    const char kind = ++i < text.size() ? text[i] : 0;
    switch (kind) {
      case 'n':
        out.push_back('\n');
        break;
      case 't':
        out.push_back('\t');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case '\\':
        out.push_back('\\');
        break;
      default:
        throw Error(ErrorKind::kConfig, {.what = fmt::format("\"{}\" has an unknown escape", text),
                                         .next = "known are \\n, \\t, \\r and \\\\"});
    }
  }
  return out;
}

}  // namespace adder::data
