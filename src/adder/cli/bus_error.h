// A mapped file that loses its end while it is read.
#pragma once

namespace adder::cli {

/// From now on the signal of such a read (SIGBUS) ends the process with exit code 1 and words that
/// say why; the system's way is to kill it without any.
void install_bus_error_message();

}  // namespace adder::cli
