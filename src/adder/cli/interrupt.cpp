#include "adder/cli/interrupt.h"

#include <sys/eventfd.h>

#include <cerrno>
#include <csignal>

namespace adder::cli {
namespace {

volatile std::sig_atomic_t caught = 0;
int wake_up = -1;  // an eventfd

}  // namespace

void catch_interrupts() {
  if (wake_up < 0) wake_up = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  struct sigaction action {};
  action.sa_handler = [](int) {
    const int before = errno;
    caught = 1;
    eventfd_write(wake_up, 1);
    errno = before;
  };
  sigaction(SIGINT, &action, nullptr);
}

void catch_first_interrupt() {
  struct sigaction action {};
  action.sa_handler = [](int) { caught = 1; };
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return caught != 0;
}

void clear_interrupt() {
  caught = 0;
  eventfd_t count;
  if (wake_up >= 0) eventfd_read(wake_up, &count);
}

int interrupt_fd() {
  return wake_up;
}

}  // namespace adder::cli
