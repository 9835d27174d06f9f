#include "adder/data/array.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "adder/base/error.h"

namespace adder::data {
namespace {

/// Bytes of a shape; throws kShape where they cannot be counted.
int64_t bytes_of(DType dtype, const std::vector<int64_t>& shape) {
  int64_t bytes = size_of(dtype);
  for (const int64_t size : shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes)) {
      throw Error(ErrorKind::kShape,
                  {.what = fmt::format("[{}] is no shape of an array", fmt::join(shape, ", "))});
    }
  }
  return bytes;
}

}  // namespace

Array Array::zeros(DType dtype, std::vector<int64_t> shape) {
  Array array;
  array.dtype = dtype;
  array.bytes.resize(static_cast<size_t>(bytes_of(dtype, shape)));
  array.shape = std::move(shape);
  return array;
}

int64_t Array::count() const {
  return bytes_of(dtype, shape) / size_of(dtype);
}

void Array::check_dtype(DType wanted) const {
  if (wanted == dtype) return;
  throw Error(ErrorKind::kInternal, {.what = fmt::format("an array of {} was read as {}",
                                                         to_string(dtype), to_string(wanted))});
}

}  // namespace adder::data
