#include "adder/data/document_stream.h"

#include <algorithm>
#include <optional>

#include "adder/base/error.h"
#include "adder/data/inputs.h"
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
      : buffer_(file), separator_(separator) {
    if (!buffer_.fill(1)) throw_empty_text(file.string());
  }

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
      document_ = view.at(field_).as_string();
    } while (document_.empty());
    if (document_.find('\0') != std::string::npos) {
      throw Error(ErrorKind::kFormat, {.what = "the text holds NUL (\\u0000)",
                                       .where = place() + ": " + field_,
                                       .why = "text has no such character"});
    }
    return true;
  }

  LineReader lines_;
  const std::string& field_;
  std::string document_;
  size_t given_ = 0;  // bytes of the document
};

int64_t total_bytes(const std::vector<fs::path>& files) {
  int64_t total = 0;
  for (const fs::path& file : files) total += io::ByteStream(file).file_bytes();
  return total;
}

}  // namespace

struct DocumentStream::State {
  std::vector<fs::path> files;
  DocumentOptions options;
  int64_t bytes_total = 0;
  size_t opened = 0;                 // files begun
  std::unique_ptr<Reader> reader{};  // of the last of them
  int64_t bytes_done = 0;            // of the files that are finished
  bool any = false;                  // there was a document

  void open_next() {
    const fs::path& file = files[opened++];
    if (is_jsonl(file)) {
      reader = std::make_unique<JsonLinesReader>(file, options.field);
    } else {
      reader = std::make_unique<PlainReader>(file, options.separator);
    }
  }
};

DocumentStream::DocumentStream(std::unique_ptr<State> state) : state_(std::move(state)) {}

DocumentStream::DocumentStream(const std::vector<std::string>& inputs, DocumentOptions options)
    : DocumentStream(of_files(list_inputs(inputs), std::move(options))) {}

DocumentStream DocumentStream::of_files(std::vector<fs::path> files, DocumentOptions options) {
  const int64_t bytes = total_bytes(files);
  return DocumentStream(
      std::unique_ptr<State>(new State{std::move(files), std::move(options), bytes}));
}

DocumentStream::~DocumentStream() = default;
DocumentStream::DocumentStream(DocumentStream&&) noexcept = default;

bool DocumentStream::next(TextPiece& piece) {
  State& state = *state_;
  while (!state.reader || !state.reader->next(piece)) {
    if (state.reader) state.bytes_done += state.reader->file_bytes_read();
    state.reader.reset();
    if (state.opened < state.files.size()) {
      state.open_next();
    } else if (state.any) {
      return false;
    } else {
      throw Error(ErrorKind::kFormat,
                  {.what = "the text holds no document",
                   .where = state.files.empty() ? "" : state.files.front().string(),
                   .why = state.files.empty() ? "no file was named"
                                              : "there are empty documents or separators only"});
    }
  }
  state.any = true;
  return true;
}

std::string DocumentStream::place() const {
  return state_->reader ? state_->reader->place() : "";
}

int64_t DocumentStream::bytes_read() const {
  return state_->bytes_done + (state_->reader ? state_->reader->file_bytes_read() : 0);
}

int64_t DocumentStream::bytes_total() const {
  return state_->bytes_total;
}

}  // namespace adder::data
