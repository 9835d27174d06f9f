// A vector of floats of the widest kind that the instruction set being compiled for has, and the
// few operations kernels need. Everything lives in the namespace of the instruction set
// (dispatch.h), so that the linker cannot mix the copies; sources of kernels/cpu should use no
// templates of the standard library. vf is a GCC vector: + - * / and comparisons work as they are,
// and a * b + c becomes one fused instruction.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "adder/base/dtype.h"

namespace adder::kernels::ADDER_ISA {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8;
#else
inline constexpr int kLanes = 4;
#endif

typedef float vf __attribute__((vector_size(4 * kLanes), may_alias));
typedef int32_t vi __attribute__((vector_size(4 * kLanes), may_alias));
typedef uint32_t vu __attribute__((vector_size(4 * kLanes), may_alias));
typedef uint16_t vu16 __attribute__((vector_size(2 * kLanes), may_alias));
typedef float vf_unaligned __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
typedef uint16_t vu16_unaligned __attribute__((vector_size(2 * kLanes), aligned(2), may_alias));

#define ADDER_INLINE [[gnu::always_inline]] inline

ADDER_INLINE vf splat(float value) {
  return value - vf{};
}

ADDER_INLINE vf min(vf a, vf b) {
  return a < b ? a : b;
}  // b where either is NaN
ADDER_INLINE vf max(vf a, vf b) {
  return a > b ? a : b;
}  // b where either is NaN

// --- one element ---

ADDER_INLINE float widen(float value) {
  return value;
}
ADDER_INLINE float widen(bf16 value) {
  return __builtin_bit_cast(float, static_cast<uint32_t>(value.bits) << 16);
}
ADDER_INLINE void narrow(float value, float* to) {
  *to = value;
}
ADDER_INLINE void narrow(float value, bf16* to) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, value);
  const uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
  to->bits = static_cast<uint16_t>(nan ? (bits >> 16) | 0x40u : rounded);
}

// --- whole vectors; no alignment asked for ---

ADDER_INLINE vf load(const float* from) {
  return *reinterpret_cast<const vf_unaligned*>(from);
}
ADDER_INLINE vf load(const bf16* from) {
  const vu16 bits = *reinterpret_cast<const vu16_unaligned*>(from);
  return reinterpret_cast<vf>(__builtin_convertvector(bits, vu) << 16);
}
ADDER_INLINE void store(float* to, vf value) {
  *reinterpret_cast<vf_unaligned*>(to) = value;
}
/// Rounds to nearest even; NaN stays NaN.
ADDER_INLINE void store(bf16* to, vf value) {
  const vu bits = reinterpret_cast<vu>(value);
  const vu rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
  const vu quiet = (bits >> 16) | 0x40u;
  const vu result = (bits & 0x7fffffffu) > 0x7f800000u ? quiet : rounded;
  *reinterpret_cast<vu16_unaligned*>(to) = __builtin_convertvector(result, vu16);
}

// --- the first n < kLanes elements; the others read as zero and are not written ---

#if defined(__AVX512F__)
ADDER_INLINE vf load_n(const float* from, int64_t n) {
  return reinterpret_cast<vf>(_mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1u), from));
}
ADDER_INLINE void store_n(float* to, vf value, int64_t n) {
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1u << n) - 1u),
                        reinterpret_cast<__m512>(value));
}
#else
ADDER_INLINE vf load_n(const float* from, int64_t n) {
  vf value{};
  for (int64_t i = 0; i < n; ++i) value[i] = from[i];
  return value;
}
ADDER_INLINE void store_n(float* to, vf value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = value[i];
}
#endif
ADDER_INLINE vf load_n(const bf16* from, int64_t n) {
  vf value{};
  for (int64_t i = 0; i < n; ++i) value[i] = widen(from[i]);
  return value;
}
ADDER_INLINE void store_n(bf16* to, vf value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) narrow(value[i], to + i);
}

// --- IEEE half: hardware conversion where there is one ---

#if defined(__AVX512F__)
ADDER_INLINE vf load(const f16* from) {
  return reinterpret_cast<vf>(
      _mm512_maskz_cvtph_ps(0xffff, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))));
}
ADDER_INLINE float widen(f16 value) {
  return _cvtsh_ss(value.bits);
}
#elif defined(__AVX2__)
ADDER_INLINE vf load(const f16* from) {
  return reinterpret_cast<vf>(
      _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))));
}
ADDER_INLINE float widen(f16 value) {
  return _cvtsh_ss(value.bits);
}
#else
ADDER_INLINE float widen(f16 value) {
  return to_float(value);
}
ADDER_INLINE vf load(const f16* from) {
  return vf{widen(from[0]), widen(from[1]), widen(from[2]), widen(from[3])};
}
#endif
ADDER_INLINE vf load_n(const f16* from, int64_t n) {
  vf value{};
  for (int64_t i = 0; i < n; ++i) value[i] = widen(from[i]);
  return value;
}

// --- across lanes: always the same order of additions ---

typedef float vf4 __attribute__((vector_size(16), may_alias));

#if defined(__AVX512F__)
ADDER_INLINE vf4 quarter(vf v, int i) {
  return reinterpret_cast<const vf4*>(&v)[i];
}
ADDER_INLINE vf4 fold_add(vf v) {
  return (quarter(v, 0) + quarter(v, 2)) + (quarter(v, 1) + quarter(v, 3));
}
ADDER_INLINE vf4 larger(vf4 a, vf4 b) {
  return a > b ? a : b;
}
ADDER_INLINE vf4 fold_max(vf v) {
  return larger(larger(quarter(v, 0), quarter(v, 2)), larger(quarter(v, 1), quarter(v, 3)));
}
#elif defined(__AVX2__)
ADDER_INLINE vf4 low(vf v) {
  return __builtin_shufflevector(v, v, 0, 1, 2, 3);
}
ADDER_INLINE vf4 high(vf v) {
  return __builtin_shufflevector(v, v, 4, 5, 6, 7);
}
ADDER_INLINE vf4 fold_add(vf v) {
  return low(v) + high(v);
}
ADDER_INLINE vf4 fold_max(vf v) {
  return low(v) > high(v) ? low(v) : high(v);
}
#else
ADDER_INLINE vf4 fold_add(vf v) {
  return v;
}
ADDER_INLINE vf4 fold_max(vf v) {
  return v;
}
#endif
ADDER_INLINE float sum(vf v) {
  const vf4 four = fold_add(v);
  return (four[0] + four[2]) + (four[1] + four[3]);
}
ADDER_INLINE float largest(vf v) {
  const vf4 four = fold_max(v);
  const float a = four[0] > four[2] ? four[0] : four[2];
  const float b = four[1] > four[3] ? four[1] : four[3];
  return a > b ? a : b;
}

// --- functions ---

/// e^x: relative error below 1.2e-7 where the result is normal, 0 for -inf, inf above 88.73, NaN
/// for NaN. x = k ln 2 + r with |r| <= ln 2 / 2; e^r by its Taylor series (degree 7: 4e-9); 2^k in
/// two factors, so that results near both ends of the range are right.
ADDER_INLINE vf exp(vf x) {
  x = x > splat(89.0f) ? splat(89.0f) : x;  // written so that NaN stays
  x = x < splat(-104.0f) ? splat(-104.0f) : x;
  const vf shift = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const vf shifted = x * 1.44269504088896341f + shift;
  const vf k = shifted - shift;
  const vi ki = reinterpret_cast<vi>(shifted) - reinterpret_cast<vi>(shift);
  const vf r = (x - k * 0.693145751953125f) - k * 1.42860682030941723e-6f;
  vf p = r * 1.98412698e-4f + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = (p * r) * r + r + 1.0f;
  const vi half = ki >> 1;
  const vf low = reinterpret_cast<vf>((half + 127) << 23);
  const vf high = reinterpret_cast<vf>((ki - half + 127) << 23);
  return p * low * high;
}

/// 1 / (1 + e^-x)
ADDER_INLINE vf sigmoid(vf x) {
  return 1.0f / (1.0f + exp(-x));
}
ADDER_INLINE vf silu(vf x) {
  return x * sigmoid(x);
}
/// d silu(x) / dx
ADDER_INLINE vf silu_slope(vf x) {
  const vf s = sigmoid(x);
  return s * (1.0f + x * (1.0f - s));
}

/// log(1 + e^x), and x itself beyond 20. log(1 + u) = 2 artanh(u / (2 + u)) for u = e^-|x| <= 1:
/// the series in (1/3)^2 has converged after nine terms, and small results keep their relative
/// precision.
ADDER_INLINE vf softplus(vf x) {
  const vf u = exp(x < 0.0f ? x : -x);
  const vf s = u / (2.0f + u), s2 = s * s;
  vf series = s2 * (1.0f / 17) + 1.0f / 15;
  series = series * s2 + 1.0f / 13;
  series = series * s2 + 1.0f / 11;
  series = series * s2 + 1.0f / 9;
  series = series * s2 + 1.0f / 7;
  series = series * s2 + 1.0f / 5;
  series = series * s2 + 1.0f / 3;
  const vf log1p = 2.0f * s + 2.0f * s * (s2 * series);
  return x > 20.0f ? x : (x > 0.0f ? x : vf{}) + log1p;
}

/// The first min(n, kLanes) elements, n > 0; the others read as zero and are not written.
template <typename T>
ADDER_INLINE vf load_up_to(const T* from, int64_t n) {
  return n >= kLanes ? load(from) : load_n(from, n);
}
template <typename T>
ADDER_INLINE void store_up_to(T* to, vf value, int64_t n) {
  n >= kLanes ? store(to, value) : store_n(to, value, n);
}

}  // namespace adder::kernels::ADDER_ISA
