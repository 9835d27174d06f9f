// Size arithmetic that cannot wrap. Every size that comes out of a file or a request goes through
// here before anything is allocated or indexed.
#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

#include "adder/base/error.h"

namespace adder {

/// Throws Error{kind}: "the size of WHAT overflows".
[[noreturn]] void throw_overflow(std::string_view what, ErrorKind kind);

/// a * b, or throws. `what` names the quantity for the error text ("tensor 'x'", "row count").
template <std::integral T>
T checked_mul(T a, T b, std::string_view what, ErrorKind kind = ErrorKind::kFormat) {
  T result{};
  if (__builtin_mul_overflow(a, b, &result)) throw_overflow(what, kind);
  return result;
}

/// a + b, or throws.
template <std::integral T>
T checked_add(T a, T b, std::string_view what, ErrorKind kind = ErrorKind::kFormat) {
  T result{};
  if (__builtin_add_overflow(a, b, &result)) throw_overflow(what, kind);
  return result;
}

/// `value` as a To when To can hold it exactly, or throws: checked_cast<int64_t>(u64, "header
/// length").
template <std::integral To, std::integral From>
To checked_cast(From value, std::string_view what, ErrorKind kind = ErrorKind::kFormat) {
  if (!std::in_range<To>(value)) throw_overflow(what, kind);
  return static_cast<To>(value);
}

/// The product of `shape` (1 for rank 0). Throws when a dimension is negative or the product
/// overflows; a zero dimension does not hide an overflow of the others.
int64_t checked_product(std::span<const int64_t> shape, std::string_view what,
                        ErrorKind kind = ErrorKind::kFormat);

}  // namespace adder
