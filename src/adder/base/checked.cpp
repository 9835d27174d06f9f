#include "adder/base/checked.h"

#include <string>

namespace adder {

void throw_overflow(std::string_view what, ErrorKind kind) {
  throw Error(kind, {.what = "a size is out of range: " + std::string(what),
                     .why = "it overflows, or is negative"});
}

int64_t checked_product(std::span<const int64_t> shape, std::string_view what, ErrorKind kind) {
  int64_t product = 1;
  bool empty = false;
  for (const int64_t dimension : shape) {
    if (dimension < 0) throw_overflow(what, kind);
    empty = empty || dimension == 0;
    product = checked_mul(product, dimension == 0 ? int64_t{1} : dimension, what, kind);
  }
  return empty ? 0 : product;
}

}  // namespace adder
