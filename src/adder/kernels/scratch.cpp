#include "adder/kernels/scratch.h"

#include <cstdlib>
#include <new>

#include "adder/base/error.h"

namespace adder::kernels {

int64_t Scratch::bytes_for(int64_t count) {
  return (count * 4 + 63) / 64 * 64;
}

Scratch::Scratch(int64_t bytes) : data_(nullptr), bytes_((bytes + 63) / 64 * 64) {
  if (bytes < 0) throw std::bad_alloc();
  if (bytes_ > 0) data_ = static_cast<char*>(std::aligned_alloc(64, static_cast<size_t>(bytes_)));
  if (bytes_ > 0 && data_ == nullptr) throw std::bad_alloc();
}

Scratch::~Scratch() {
  std::free(data_);
}

float* Scratch::floats(int64_t count) {
  const int64_t bytes = bytes_for(count);
  if (bytes > bytes_ - used_) {
    throw Error(ErrorKind::kInternal, {"a kernel's scratch memory is too small", "", "", ""});
  }
  char* piece = data_ + used_;
  used_ += bytes;
  return reinterpret_cast<float*>(piece);
}

}  // namespace adder::kernels
