// A line with its cursor, for a person at a terminal: libedit behind LineInput. Part of bin/adder
// alone.
#pragma once

#include <memory>

#include "adder/cli/line_input.h"

namespace adder::cli {

/// Arrows, words, kill and yank as in emacs; Ctrl-R searches the history; what is pasted is one
/// text, whatever lines it holds; Alt-Enter begins a new line. The line is drawn on stderr. The
/// terminal is as it was before between two reads and when a signal ends the program.
std::unique_ptr<LineInput> make_line_editor(LineOptions options);

}  // namespace adder::cli
