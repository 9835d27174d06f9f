#include "adder/cli/interrupt.h"

#include <csignal>

namespace adder::cli {
namespace {

volatile std::sig_atomic_t caught = 0;

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { caught = 1; };
  sigaction(SIGINT, &action, nullptr);
}

bool interrupted() {
  return caught != 0;
}

void clear_interrupt() {
  caught = 0;
}

}  // namespace adder::cli
