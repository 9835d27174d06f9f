// Where the lines of a conversation come from: a person at a terminal, or a file.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adder/cli/line_history.h"

namespace adder::cli {

class LineInput {
 public:
  enum class Read { kLine, kEnd, kInterrupted };
  virtual ~LineInput() = default;
  /// The next line, without its end; one that was pasted or typed as several lines holds them all.
  /// kInterrupted: Ctrl-C, and what was typed until then. Catch interrupts first (interrupt.h).
  virtual Read read(std::string& line) = 0;
};

struct LineOptions {
  std::string prompt;              // "> "
  LineHistory* history = nullptr;  // outlives the input
  /// What Tab makes of the beginning of a line: every line that begins like it.
  std::function<std::vector<std::string>(const std::string& beginning)> complete;
};

/// bin/adder alone holds a line editor, and hands it to the library before it begins.
using MakeLineEditor = std::unique_ptr<LineInput> (*)(LineOptions options);
void set_line_editor(MakeLineEditor make);

/// The editor where a person sits at a terminal that can be drawn on, else plain lines of standard
/// input, with the prompt on stderr when that is a terminal.
std::unique_ptr<LineInput> open_lines(LineOptions options);

}  // namespace adder::cli
