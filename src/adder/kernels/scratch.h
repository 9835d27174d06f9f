// Working memory of kernels: 64-byte aligned, uninitialised. The functions are out of line on
// purpose: sources of kernels/cpu must not emit library templates that the linker could share with
// code for older processors.
#pragma once

#include <cstdint>

namespace adder::kernels {

class Scratch {
 public:
  explicit Scratch(int64_t bytes);  // throws std::bad_alloc
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  /// The next `count` floats, on a 64-byte boundary. What is taken must fit in the bytes asked for,
  /// each piece rounded up to 64 bytes (bytes_for).
  float* floats(int64_t count);

  static int64_t bytes_for(int64_t count);

 private:
  char* data_;
  int64_t used_ = 0, bytes_;
};

}  // namespace adder::kernels
