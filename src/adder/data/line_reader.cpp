#include "adder/data/line_reader.h"

#include <fmt/format.h>

#include "adder/base/error.h"

namespace adder::data {

std::string LineReader::place() const {
  return fmt::format("{}:{}", buffer_.place().file, buffer_.place().line);
}

/// Bytes of the line that the buffer begins with, its end included where it has one.
size_t LineReader::find_end() {
  size_t seen = 0;
  while (true) {
    const size_t end = buffer_.view().find('\n', seen);
    if (end != std::string_view::npos) return end + 1;
    seen = buffer_.view().size();
    if (seen > static_cast<size_t>(kMaxLineBytes)) {
      throw Error(ErrorKind::kFormat,
                  {.what = "a line is too long",
                   .where = place(),
                   .why = fmt::format("it has more than {} MiB", kMaxLineBytes >> 20),
                   .next = "cut the document into several, or give it as plain text (.txt)"});
    }
    if (!buffer_.fill(seen + 1)) return seen;
  }
}

bool LineReader::next(std::string_view& line) {
  while (true) {
    buffer_.take(size_);
    size_ = find_end();
    if (size_ == 0) return false;
    line = buffer_.view().substr(0, size_);
    if (line.ends_with('\n')) line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") != std::string_view::npos) return true;
  }
}

bool LineReader::next(io::Json& value) {
  std::string_view line;
  if (!next(line)) return false;
  value = io::parse_json(line, place());
  return true;
}

}  // namespace adder::data
