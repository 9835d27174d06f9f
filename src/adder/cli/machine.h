// What the machine under the program is and has.
#pragma once

#include <cstdint>
#include <string>

namespace adder::cli {

struct Machine {
  std::string processor;         // as the system calls it
  std::string isa_best, isa;     // instruction sets of the kernels: supported, and in use
  int cores = 0;                 // of the machine
  int threads = 0;               // that this process will use
  int64_t memory = 0;            // bytes, of the machine or its container
  int64_t memory_available = 0;  // bytes
  int64_t disk_available = 0;    // bytes, where the program was started
  int64_t open_files = 0;        // limit; -1: none
};

Machine look_at_machine();

}  // namespace adder::cli
