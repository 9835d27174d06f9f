#include "adder/cli/word_stream.h"

#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <algorithm>

#include "adder/base/printable.h"
#include "adder/text/utf8.h"

namespace adder::cli {

std::string WordStream::feed(std::string_view piece) {
  std::string out;
  for (std::size_t at = 0; at < piece.size();) {
    const text::Utf8Step step = text::read_utf8(piece, at);
    const std::string_view character = piece.substr(at, static_cast<std::size_t>(step.length));
    at += character.size();
    if (character == "\n") {
      out += end_word() + "\n";
      spaces_.clear();
      column_ = 0;
    } else if (character == " " || character == "\t") {
      out += end_word();
      spaces_ += ' ';
    } else {
      const std::string shown = printable(character, character.size());
      const int width = shown == character
                            ? utf8proc_charwidth(static_cast<utf8proc_int32_t>(step.value))
                            : static_cast<int>(shown.size());
      // Of writing without spaces a line is given at a time at least.
      if (columns_ > 0 && word_columns_ + width > columns_) out += end_word();
      word_ += shown;
      word_columns_ += width;
    }
  }
  return out;
}

std::string WordStream::end_word() {
  if (word_.empty()) return "";
  const int spaces = static_cast<int>(spaces_.size());
  std::string out = std::move(spaces_);
  if (columns_ > 0 && column_ > 0 && column_ + spaces + word_columns_ > columns_) {
    out.assign(1, '\n');
    column_ = word_columns_;
  } else {
    column_ += spaces + word_columns_;
  }
  out += word_;
  spaces_.clear();
  word_.clear();
  word_columns_ = 0;
  return out;
}

std::string WordStream::flush() {
  std::string out = end_word() + spaces_;
  spaces_.clear();
  return out;
}

ScreenText::ScreenText(int fd) {
  if (isatty(fd) == 1) words_.emplace(terminal_columns(fd));
}

std::string ScreenText::feed(std::string_view piece) {
  return words_ ? words_->feed(piece) : std::string(piece);
}

std::string ScreenText::flush() {
  return words_ ? words_->flush() : "";
}

int terminal_columns(int fd) {
  winsize size{};
  return isatty(fd) == 1 && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

}  // namespace adder::cli
