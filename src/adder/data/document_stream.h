// Documents out of text files of any size, in bounded memory.
//
//   plain text   one document a file, or cut at a separator (which is dropped). Line ends stay as
//                they are; a byte order mark at the beginning of the file is dropped.
//   jsonl        one document a line: a string member of an object ("text", as a rule). Blank lines
//                are passed over, a byte order mark as above, CR LF ends a line like LF, the last
//                line needs no end. A line holds at most kMaxLineBytes.
//   .gz, .zst    of both, decoded on the way
//
// Empty documents and files are left out. Everything is UTF-8 without NUL.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "adder/data/line_reader.h"

namespace adder::data {

struct DocumentOptions {
  std::string separator;       // of plain text; empty: each file is one document
  std::string field = "text";  // of jsonl
};

/// A part of a document. Where documents are cut into parts depends on their text alone, not on the
/// kind of file that holds them: after the last line end within kPieceBytes.
struct TextPiece {
  std::string_view text;  // never empty; stands until the next call of next()
  bool first = false;     // of its document
  bool last = false;
};

inline constexpr size_t kPieceBytes = size_t{1} << 20;

/// Pull stream over files one after another.
class DocumentStream {
 public:
  /// `inputs` as list_inputs() takes them. Throws what that throws, and kNotFound or kIo for a file
  /// that cannot be looked at.
  explicit DocumentStream(const std::vector<std::string>& inputs, DocumentOptions options = {});
  /// Over `files` as they are.
  static DocumentStream of_files(std::vector<std::filesystem::path> files,
                                 DocumentOptions options = {});
  ~DocumentStream();
  DocumentStream(DocumentStream&&) noexcept;

  /// The next part, or false after the last one. Throws kFormat with FILE:LINE for invalid UTF-8,
  /// NUL, a line that is no JSON, has no such member, has something other than a
  /// string there, or is too long; and where the files held no document at all.
  bool next(TextPiece& piece);

  /// Where the part that next() gave last begins: "FILE:LINE".
  std::string place() const;

  /// Bytes of the files themselves (compressed ones as they are), for a progress bar.
  int64_t bytes_read() const;
  int64_t bytes_total() const;

 private:
  struct State;
  explicit DocumentStream(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace adder::data
