// Text on its way to a terminal, word by word: a word that does not fit on the line goes to the
// next one, and nothing in the text can steer the terminal.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace adder::cli {

class WordStream {
 public:
  /// `columns`: width of the terminal; 0: lines are not broken.
  explicit WordStream(int columns) : columns_(columns) {}

  /// Takes valid UTF-8 and gives what may be shown by now; the word that may go on waits.
  std::string feed(std::string_view piece);
  /// The end: what waits.
  std::string flush();

 private:
  std::string end_word();

  int columns_;
  int column_ = 0;      // of what was given
  std::string spaces_;  // before the word that waits
  std::string word_;    // that waits
  int word_columns_ = 0;
};

/// Text on its way to a file descriptor: as words where that is a terminal, else as it is.
class ScreenText {
 public:
  explicit ScreenText(int fd);
  std::string feed(std::string_view piece);
  std::string flush();

 private:
  std::optional<WordStream> words_;
};

/// Columns of the terminal that `fd` is; 0 when it is none or does not say.
int terminal_columns(int fd);

}  // namespace adder::cli
