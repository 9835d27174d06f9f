#include "adder/train/stop_signals.h"

#include <atomic>
#include <csignal>

namespace adder::train {
namespace {

std::atomic<bool> stop_asked{false};

void ask_to_stop(int signal) {
  if (stop_asked.exchange(true)) {  // the second time: at once
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
}

}  // namespace

void install_stop_signals() {
  std::signal(SIGINT, &ask_to_stop);
  std::signal(SIGTERM, &ask_to_stop);
}

bool stop_requested() {
  return stop_asked.load();
}

void reset_stop_request() {
  stop_asked = false;
}

}  // namespace adder::train
