// The text of a file as tokens, part by part: a text of any length in constant memory.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "adder/data/piece_encoder.h"
#include "adder/io/byte_stream.h"
#include "adder/text/tokenizer.h"

namespace adder::cli {

class TextSource {
 public:
  /// A regular file (gzip and zstd are decoded); "-": standard input. With `begins` the tokenizer's
  /// bos goes first. `tokenizer` must outlive this.
  TextSource(const std::string& file, const text::Tokenizer& tokenizer, bool begins);

  /// The next tokens; none at the end, where what the tokenizer left out is said (say_dropped).
  /// They stand until the next call. Throws what reading and Tokenizer::encode() throw.
  std::span<const int32_t> next();

  /// Of the file; 0 for standard input.
  int64_t file_bytes() const { return file_ ? file_->file_bytes() : 0; }
  int64_t file_bytes_read() const { return file_ ? file_->file_bytes_read() : 0; }

 private:
  size_t read(std::span<std::byte> out);

  std::unique_ptr<io::ByteStream> file_;  // null: standard input
  const text::Tokenizer& tokenizer_;
  data::PieceEncoder encoder_;
  std::string open_;  // the beginning of a character at the end of what was read
  std::vector<int32_t> ids_;
  bool begins_, ended_ = false;
};

/// Says what was left out, if anything: a tokenizer loses nothing in silence.
void say_dropped(std::span<const text::Dropped> dropped);

}  // namespace adder::cli
