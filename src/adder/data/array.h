// Named arrays: what a task gives to the trainer. Plain memory, no framework.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "adder/base/dtype.h"

namespace adder::data {

template <typename T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, double>)
    return DType::f64;
  else if constexpr (std::is_same_v<T, float>)
    return DType::f32;
  else if constexpr (std::is_same_v<T, bf16>)
    return DType::bf16;
  else if constexpr (std::is_same_v<T, f16>)
    return DType::f16;
  else if constexpr (std::is_same_v<T, int64_t>)
    return DType::i64;
  else if constexpr (std::is_same_v<T, int32_t>)
    return DType::i32;
  else if constexpr (std::is_same_v<T, int16_t>)
    return DType::i16;
  else if constexpr (std::is_same_v<T, int8_t>)
    return DType::i8;
  else if constexpr (std::is_same_v<T, uint8_t>)
    return DType::u8;
  else
    static_assert(std::is_same_v<T, void>, "no DType for this C++ type");
}

/// A dense array, row-major.
struct Array {
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;  // count() * size_of(dtype)

  /// Zeroed. Throws kShape for a negative or overflowing shape.
  static Array zeros(DType dtype, std::vector<int64_t> shape);

  /// Product of the shape.
  int64_t count() const;

  /// The elements; throws kInternal when T is not the dtype.
  template <typename T>
  std::span<T> as() {
    check_dtype(dtype_of<T>());
    return {reinterpret_cast<T*>(bytes.data()), bytes.size() / sizeof(T)};
  }
  template <typename T>
  std::span<const T> as() const {
    check_dtype(dtype_of<T>());
    return {reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T)};
  }

 private:
  void check_dtype(DType wanted) const;
};

/// Array names are the task's: "tokens", "targets", "seq_idx", ...
using Batch = std::map<std::string, Array>;

}  // namespace adder::data
