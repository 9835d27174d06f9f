// The program `adder`.
#pragma once

namespace adder::cli {

/// Everything bin/adder does; returns its exit code. 0: done, 1: failed, 2: wrong usage.
int run_program(int argc, const char* const* argv) noexcept;

}  // namespace adder::cli
