#include "adder/data/document_stream.h"

#include <algorithm>
#include <optional>

#include "adder/base/error.h"
#include "adder/data/file_walk.h"
#include "adder/data/text_buffer.h"
#include "adder/text/utf8.h"

namespace adder::data {
namespace {

namespace fs = std::filesystem;

/// Bytes of the first part of a document: a function of its text. `text` has kPieceBytes + 1 bytes
/// or is all that there is of it.
size_t piece_size(std::string_view text) {
  if (text.size() <= kPieceBytes) return text.size();
  const size_t line_end = text.substr(0, kPieceBytes).rfind('\n');
  return line_end == std::string_view::npos ? text::code_point_boundary(text, kPieceBytes)
                                            : line_end + 1;
}

/// The documents of one file.
class Reader {
 public:
  virtual ~Reader() = default;
  virtual bool next(TextPiece& piece) = 0;
  virtual std::string place() const = 0;
  virtual int64_t file_bytes_read() const = 0;
};

class PlainReader final : public Reader {
 public:
  PlainReader(const fs::path& file, const std::string& separator)
      : buffer_(file), separator_(separator) {}

  bool next(TextPiece& piece) override {
    buffer_.take(given_);
    given_ = 0;
    while (!inside_ && starts_with_separator()) buffer_.take(separator_.size());
    // As much as shows where the part ends, a separator that begins right after it included.
    buffer_.fill(kPieceBytes + separator_.size() + 1);
    const std::string_view text = document();
    if (text.empty()) return false;
    given_ = piece_size(text);
    piece = {text.substr(0, given_), !inside_, given_ == text.size()};
    check_characters(piece.text, buffer_.place());
    inside_ = !piece.last;
    return true;
  }

  std::string place() const override {
    return buffer_.place().file + ":" + std::to_string(buffer_.place().line);
  }
  int64_t file_bytes_read() const override { return buffer_.file_bytes_read(); }

 private:
  bool starts_with_separator() {
    if (separator_.empty()) return false;
    buffer_.fill(separator_.size());
    return buffer_.view().starts_with(separator_);
  }

  /// What the buffer holds of the document that it stands in.
  std::string_view document() const {
    const std::string_view text = buffer_.view();
    return separator_.empty() ? text : text.substr(0, text.find(separator_));
  }

  TextBuffer buffer_;
  const std::string& separator_;
  size_t given_ = 0;     // bytes of the part given last
  bool inside_ = false;  // a document whose last part was not given yet
};

class JsonLinesReader final : public Reader {
 public:
  JsonLinesReader(const fs::path& file, const std::string& field) : lines_(file), field_(field) {}

  bool next(TextPiece& piece) override {
    const bool first = given_ == document_.size();
    if (first && !next_document()) return false;
    const std::string_view rest = std::string_view(document_).substr(given_);
    const size_t size = piece_size(rest);
    piece = {rest.substr(0, size), first, size == rest.size()};
    given_ += size;
    return true;
  }

  std::string place() const override { return lines_.place(); }
  int64_t file_bytes_read() const override { return lines_.file_bytes_read(); }

 private:
  bool next_document() {
    given_ = 0;
    do {
      io::Json value;
      if (!lines_.next(value)) return false;
      const io::JsonView view(value, place());
      if (!value.is_object()) view.fail("an object with the member \"" + field_ + "\"");
      if (!view.find(field_)) throw_no_field(view);
      document_ = view.at(field_).as_string();
    } while (document_.empty());
    if (document_.find('\0') != std::string::npos) {
      throw Error(ErrorKind::kFormat, {.what = "the text holds NUL (\\u0000)",
                                       .where = place() + ": " + field_,
                                       .why = "text has no such character"});
    }
    return true;
  }

  [[noreturn]] void throw_no_field(const io::JsonView& view) const {
    const bool conversation = view.has("messages") || view.has("completion") || view.has("output");
    throw Error(
        ErrorKind::kFormat,
        {.what = "a line has no member \"" + field_ + "\"",
         .where = place(),
         .why = conversation ? "it looks like a conversation" : "",
         .next = conversation ? "learn conversations with --chat-template (data.chat_template), or "
                                "name the member that holds the text with --field (data.field)"
                              : "name the member that holds the text with --field (data.field)"});
  }

  LineReader lines_;
  const std::string& field_;
  std::string document_;
  size_t given_ = 0;  // bytes of the document
};

}  // namespace

struct DocumentStream::State {
  State(std::vector<fs::path> files, DocumentOptions given)
      : options(std::move(given)),
        walk(std::move(files), "document", [this](const fs::path& file) { return open(file); }) {}

  std::unique_ptr<Reader> open(const fs::path& file) const {
    if (is_jsonl(file)) return std::make_unique<JsonLinesReader>(file, options.field);
    return std::make_unique<PlainReader>(file, options.separator);
  }

  DocumentOptions options;  // the readers look at it
  FileWalk<Reader> walk;
};

DocumentStream::DocumentStream(std::unique_ptr<State> state) : state_(std::move(state)) {}

DocumentStream::DocumentStream(const std::vector<std::string>& inputs, DocumentOptions options)
    : DocumentStream(of_files(list_inputs(inputs), std::move(options))) {}

DocumentStream DocumentStream::of_files(std::vector<fs::path> files, DocumentOptions options) {
  return DocumentStream(std::make_unique<State>(std::move(files), std::move(options)));
}

DocumentStream::~DocumentStream() = default;
DocumentStream::DocumentStream(DocumentStream&&) noexcept = default;

bool DocumentStream::next(TextPiece& piece) {
  return state_->walk.next(piece);
}

std::string DocumentStream::place() const {
  return state_->walk.place();
}

int64_t DocumentStream::bytes_read() const {
  return state_->walk.bytes_read();
}

int64_t DocumentStream::bytes_total() const {
  return state_->walk.bytes_total();
}

}  // namespace adder::data
