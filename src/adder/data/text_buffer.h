// What was read from a file and not taken yet: the common part of the readers of text files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "adder/data/check_text.h"
#include "adder/io/byte_stream.h"

namespace adder::data {

class TextBuffer {
 public:
  /// Throws kFormat for a file in UTF-16.
  explicit TextBuffer(const std::filesystem::path& file);

  /// Reads until view() has `bytes`, or the file ends: then false.
  bool fill(size_t bytes);
  /// The text from here on, as far as it was read; a byte order mark at the beginning is not in it.
  std::string_view view() const { return std::string_view(buffer_).substr(taken_); }
  void take(size_t bytes);

  /// Of the beginning of view().
  const TextPlace& place() const { return place_; }
  int64_t file_bytes_read() const { return stream_.file_bytes_read(); }

 private:
  io::ByteStream stream_;
  std::string buffer_;
  size_t taken_ = 0;  // of the buffer
  bool ended_ = false;
  TextPlace place_;
};

}  // namespace adder::data
