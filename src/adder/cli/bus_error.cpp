#include "adder/cli/bus_error.h"

#include <unistd.h>

#include <csignal>
#include <string_view>

namespace adder::cli {
namespace {

constexpr std::string_view kMessage =
    "\nerror: a file was truncated while it was in use\n"
    "  why:   models, tokens and texts are read where they lie, and a part that was needed is gone "
    "(or its disk cannot be read)\n"
    "  next:  restore the file and run it again; replace such files by rename, not by writing over "
    "them\n";

// Only calls that are safe in a signal handler.
void on_bus_error(int signal, siginfo_t* info, void*) {
  if (info->si_code == BUS_ADRERR) {
    [[maybe_unused]] const auto written = write(2, kMessage.data(), kMessage.size());
    _exit(1);
  }
  std::signal(signal, SIG_DFL);  // a fault of another kind
  std::raise(signal);
}

}  // namespace

void install_bus_error_message() {
  struct sigaction action {};
  action.sa_sigaction = &on_bus_error;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
}

}  // namespace adder::cli
