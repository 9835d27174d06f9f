// Ctrl-C, for verbs that do something better with it than to end.
#pragma once

namespace adder::cli {

/// From here on SIGINT sets a flag; a system call that waits is cut short and not taken up again.
void catch_interrupts();

/// Whether one came since the last clear_interrupt().
bool interrupted();
void clear_interrupt();

}  // namespace adder::cli
