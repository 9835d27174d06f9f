// Ctrl-C, for verbs that do something better with it than to end.
#pragma once

namespace adder::cli {

/// From here on SIGINT sets a flag; a system call that waits is cut short and not taken up again.
void catch_interrupts();

/// The first SIGINT or SIGTERM from here on sets the flag: for a run that then ends with what it
/// has done. The second one ends the program.
void catch_first_interrupt();

/// Whether one came since the last clear_interrupt().
bool interrupted();
void clear_interrupt();

/// Readable while there is one, for poll(): it sees one that came just before, too. < 0 before
/// catch_interrupts().
int interrupt_fd();

}  // namespace adder::cli
