// Element types of arrays, and the two 16-bit floats as plain C++ values.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace adder {

enum class DType : uint8_t { f64, f32, bf16, f16, i64, i32, i16, i8, u8, boolean, u16 };

/// Bytes of one element.
constexpr int64_t size_of(DType type) {
  switch (type) {
    case DType::f64:
    case DType::i64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
    case DType::i16:
    case DType::u16:
      return 2;
    default:
      return 1;
  }
}

/// "f32", "bf16", ... as a user reads them.
constexpr std::string_view to_string(DType type) {
  constexpr std::string_view names[] = {"f64", "f32", "bf16", "f16",  "i64", "i32",
                                        "i16", "i8",  "u8",   "bool", "u16"};
  return names[static_cast<int>(type)];
}

/// Upper half of an IEEE float, rounded to nearest even; NaN stays NaN.
struct bf16 {
  uint16_t bits = 0;
};

inline float to_float(bf16 value) {
  return std::bit_cast<float>(static_cast<uint32_t>(value.bits) << 16);
}

inline bf16 to_bf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

/// IEEE binary16.
struct f16 {
  uint16_t bits = 0;
};

float to_float(f16 value);
f16 to_f16(float value);

}  // namespace adder
