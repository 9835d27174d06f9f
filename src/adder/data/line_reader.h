// The lines of a jsonl file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "adder/data/text_buffer.h"
#include "adder/io/json.h"

namespace adder::data {

inline constexpr int64_t kMaxLineBytes = int64_t{1} << 27;

class LineReader {
 public:
  explicit LineReader(const std::filesystem::path& file) : buffer_(file) {}

  /// The next line with something other than spaces in it, without its end (LF or CR LF); false
  /// after the last. It stands until the next call. Throws kFormat with FILE:LINE for one above
  /// kMaxLineBytes.
  bool next(std::string_view& line);
  /// The value of the next line. Throws kFormat with FILE:LINE for what is no JSON.
  bool next(io::Json& value);

  /// "FILE:LINE" of the line that next() gave last.
  std::string place() const;
  int64_t file_bytes_read() const { return buffer_.file_bytes_read(); }

 private:
  size_t find_end();

  TextBuffer buffer_;
  size_t size_ = 0;  // of the line given last, its end included
};

}  // namespace adder::data
