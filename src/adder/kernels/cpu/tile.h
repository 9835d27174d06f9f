// Small dense matrices in fp32 (tiles): products out of register blocks, and transposition. Tiles
// are padded to whole vectors and whole register blocks; who fills a tile puts zeros there.
#pragma once

#include "adder/kernels/cpu/simd.h"

namespace adder::kernels::ADDER_ISA {

// A register block is kBlockRows x kBlockVectors vectors: enough sums in flight to hide the latency
// of a multiply-add, few enough for the registers (32 under AVX-512, else 16).
#if defined(__AVX512F__)
inline constexpr int kBlockRows = 8, kBlockVectors = 2;
#else
inline constexpr int kBlockRows = 4, kBlockVectors = 2;
#endif
inline constexpr int kTileAlign = kLanes > kBlockRows ? kLanes : kBlockRows;

ADDER_INLINE int64_t round_up(int64_t n, int64_t step) {
  return (n + step - 1) / step * step;
}

/// The left factor of a product: element (row, k) is data[row * row_stride + k * k_stride].
struct Left {
  const float* data;
  int64_t row_stride, k_stride;
};

template <int V>
struct Block {
  vf at[kBlockRows][V];
};

template <int V>
ADDER_INLINE void clear(Block<V>& block) {
  for (int r = 0; r < kBlockRows; ++r)
    for (int v = 0; v < V; ++v) block.at[r][v] = vf{};
}

/// Writes a block to memory, for work whose indices are not known when compiling.
template <int V>
ADDER_INLINE void spill(const Block<V>& block, float (&rows)[kBlockRows][V * kLanes]) {
  for (int r = 0; r < kBlockRows; ++r)
    for (int v = 0; v < V; ++v) store(rows[r] + v * kLanes, block.at[r][v]);
}

/// block += left[row.., begin..end) * right[begin..end), col..); the rows of `right` are
/// `right_stride` apart.
template <int V>
ADDER_INLINE void add_product(Block<V>& block, const Left& left, int64_t row, const float* right,
                              int64_t right_stride, int64_t col, int64_t begin, int64_t end) {
  const float* a = left.data + row * left.row_stride + begin * left.k_stride;
  const float* b = right + begin * right_stride + col;
  const int64_t row_stride = left.row_stride, k_stride = left.k_stride;
  for (int64_t k = begin; k < end; ++k, a += k_stride, b += right_stride) {
    vf factor[V];
#pragma GCC unroll 8
    for (int v = 0; v < V; ++v) factor[v] = load(b + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kBlockRows; ++r) {
      const vf scalar = splat(a[r * row_stride]);
#pragma GCC unroll 8
      for (int v = 0; v < V; ++v) block.at[r][v] += scalar * factor[v];
    }
  }
}

/// Calls body.operator()<V>(column) for panels of V vectors that cover `columns`, a multiple of
/// kLanes.
template <typename Body>
ADDER_INLINE void for_panels(int64_t columns, const Body& body) {
  int64_t col = 0;
  for (; col + kBlockVectors * kLanes <= columns; col += kBlockVectors * kLanes)
    body.template operator()<kBlockVectors>(col);
  for (; col < columns; col += kLanes) body.template operator()<1>(col);
}

/// Transposes one square of kLanes vectors in place: log2(kLanes) rounds that swap ever larger
/// quarters.
template <int Distance>
ADDER_INLINE void transpose_round(vf (&v)[kLanes]) {
  vi first{}, second{};
#pragma GCC unroll 16
  for (int j = 0; j < kLanes; ++j) {
    first[j] = j & Distance ? kLanes + j - Distance : j;
    second[j] = j & Distance ? kLanes + j : j + Distance;
  }
#pragma GCC unroll 16
  for (int i = 0; i < kLanes; ++i) {
    if (i & Distance) continue;
    const vf a = v[i], b = v[i + Distance];
    v[i] = __builtin_shuffle(a, b, first);
    v[i + Distance] = __builtin_shuffle(a, b, second);
  }
}

ADDER_INLINE void transpose_square(vf (&v)[kLanes]) {
  if constexpr (kLanes > 8) transpose_round<8 % kLanes>(v);
  if constexpr (kLanes > 4) transpose_round<4 % kLanes>(v);
  transpose_round<2>(v);
  transpose_round<1>(v);
}

/// to (columns, rows) = transpose of from (rows, columns). Where `to` is a tile, rows up to whole
/// vectors are written as zeros by giving `padded_rows`; else pass `rows`.
inline void transpose(const float* from, int64_t from_stride, int64_t rows, int64_t columns,
                      float* to, int64_t to_stride, int64_t padded_rows) {
  for (int64_t i = 0; i < padded_rows; i += kLanes) {
    for (int64_t j = 0; j < columns; j += kLanes) {
      const int64_t wide = columns - j < kLanes ? columns - j : kLanes;
      const int64_t high = padded_rows - i < kLanes ? padded_rows - i : kLanes;
      vf square[kLanes];
#pragma GCC unroll 16
      for (int r = 0; r < kLanes; ++r) {
        const float* row = from + (i + r) * from_stride + j;
        square[r] = i + r >= rows ? vf{} : wide == kLanes ? load(row) : load_n(row, wide);
      }
      transpose_square(square);
#pragma GCC unroll 16
      for (int c = 0; c < kLanes; ++c) {
        float* row = to + (j + c) * to_stride + i;
        if (c >= wide) break;
        if (high == kLanes) {
          store(row, square[c]);
        } else {
          store_n(row, square[c], high);
        }
      }
    }
  }
}

}  // namespace adder::kernels::ADDER_ISA
