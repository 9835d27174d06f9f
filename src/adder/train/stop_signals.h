// Ctrl-C and the system's request to end: a running train() saves and leaves.
#pragma once

namespace adder::train {

/// Makes SIGINT and SIGTERM ask a running train() to save and leave; a second signal ends the
/// process.
void install_stop_signals();
/// Whether one has come.
bool stop_requested();
/// Forgets a request to stop, so that the same process may train again.
void reset_stop_request();

}  // namespace adder::train
