// Tensor cores through mma.sync (m16n8k16, bf16 in, fp32 sums; compute capability 8.0 on) and what
// feeds them: copies to shared memory, swizzled tiles, fragments.
//
// Fragments, with g = lane / 4 and t = lane % 4; each register holds two neighbours in k (or in n):
//   A (16 x 16, row m, column k)  a0 (g, 2t)  a1 (g+8, 2t)  a2 (g, 2t+8)  a3 (g+8, 2t+8)
//   B (16 x 8,  row k, column n)  b0 (2t, g)  b1 (2t+8, g)
//   D (16 x 8,  row m, column n)  d0 d1 (g, 2t)   d2 d3 (g+8, 2t)
// So two D side by side, rounded and packed, are an A; and an A is two B: of columns 0-7 and 8-15
// of its transpose, {a0, a2} and {a1, a3}.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

namespace adder::kernels::cuda {

/// 2^x; 2^-inf = 0, results below the normal range are 0.
__device__ __forceinline__ float ex2(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// log2 x; log2 0 = -inf.
__device__ __forceinline__ float lg2(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

/// Two numbers rounded to bf16; `low` is the one at the lower address.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(high), "f"(low));
  return both;
}
__device__ __forceinline__ float low_bf16(uint32_t both) {
  return __uint_as_float(both << 16);
}
__device__ __forceinline__ float high_bf16(uint32_t both) {
  return __uint_as_float(both & 0xffff0000u);
}

__device__ __forceinline__ uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}

/// 16 bytes to shared memory, asynchronously; zeros where !valid (then `from` is not read).
__device__ __forceinline__ void copy16_async(uint32_t to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from),
               "r"(valid ? 16 : 0)
               : "memory");
}
__device__ __forceinline__ void copy4_async(uint32_t to, const void* from) {
  asm volatile("cp.async.ca.shared.global [%0], [%1], 4;" ::"r"(to), "l"(from) : "memory");
}
__device__ __forceinline__ void commit_copies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}
/// Until at most kPending groups of this thread's copies are under way.
template <int kPending>
__device__ __forceinline__ void wait_copies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
}

/// Four 8 x 8 matrices of bf16; lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

/// d += A B
__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                    uint32_t b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// A row-major tile of bf16 in shared memory, kWidth (a power of two, >= 32) to a row. Its 16-byte
/// cells are permuted within a row so that eight rows' cells of one column lie in different banks.
/// kAligned: the tile begins at a multiple of a row's bytes; fragments at multiples of 16 rows and
/// columns then differ from the first by constants, which spares registers.
template <int kWidth, bool kAligned = false>
struct Tile {
  static constexpr int kCells = kWidth / 8;  // to a row
  static constexpr int bytes(int rows) { return rows * kWidth * 2; }

  uint32_t address;

  __device__ __forceinline__ uint32_t cell(int row, int column8) const {
    static_assert(kCells >= 4);
    const int turned = kCells >= 8 ? column8 ^ (row & 7) : column8 ^ ((row >> 1) & 3);
    return address + (row * kCells + turned) * 16;
  }
  /// Columns `column` (even) and `column` + 1.
  __device__ __forceinline__ void store_pair(int row, int column, uint32_t pair) const {
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(cell(row, column / 8) + column % 8 * 2), "r"(pair)
                 : "memory");
  }
  /// The same for an accumulator's pair: row g, columns 2t and 2t + 1 of the 8 x 8 at row0,
  /// column0.
  __device__ __forceinline__ void store_fragment(int row0, int column0, uint32_t pair) const {
    const int row = lane() / 4, within = lane() % 4 * 4;
    const uint32_t at = kAligned ? ((cell(row, 0) | within) ^ column0 * 2) + row0 * kCells * 16
                                 : cell(row0 + row, column0 / 8) + within;
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(at), "r"(pair) : "memory");
  }
  __device__ __forceinline__ uint4 read_cell(int row, int column8) const {
    uint4 v;
    asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "r"(cell(row, column8))
                 : "memory");
    return v;
  }
  __device__ __forceinline__ float element(int row, int column) const {
    uint16_t bits;
    asm volatile("ld.shared.u16 %0, [%1];"
                 : "=h"(bits)
                 : "r"(cell(row, column / 8) + column % 8 * 2)
                 : "memory");
    return __uint_as_float(static_cast<uint32_t>(bits) << 16);
  }
  /// A = tile[row0.., column0..]
  __device__ __forceinline__ void load_a(uint32_t (&r)[4], int row0, int column0) const {
    load_matrices(r, quarter(row0, column0, (lane() >> 3) & 1, lane() >> 4));
  }
  /// Two B = tile[row0.., column0..]^T (k runs along the rows of memory): {r0, r1}, {r2, r3}.
  __device__ __forceinline__ void load_b_of_rows(uint32_t (&r)[4], int row0, int column0) const {
    load_matrices(r, quarter(row0, column0, lane() >> 4, (lane() >> 3) & 1));
  }
  /// A = tile[row0.., column0..]^T
  __device__ __forceinline__ void load_a_transposed(uint32_t (&r)[4], int row0, int column0) const {
    load_matrices_transposed(r, quarter(row0, column0, lane() >> 4, (lane() >> 3) & 1));
  }
  /// Two B = tile[row0.., column0..] (k runs down): {r0, r1}, {r2, r3}.
  __device__ __forceinline__ void load_b(uint32_t (&r)[4], int row0, int column0) const {
    load_matrices_transposed(r, quarter(row0, column0, (lane() >> 3) & 1, lane() >> 4));
  }

 private:
  static __device__ __forceinline__ int lane() { return threadIdx.x & 31; }
  /// This lane's row of the 8 x 8 quarter (down, right) of the 16 x 16 at row0, column0.
  __device__ __forceinline__ uint32_t quarter(int row0, int column0, int down, int right) const {
    const int row = (lane() & 7) + down * 8;
    if constexpr (kAligned) return (cell(row, right) ^ column0 * 2) + row0 * kCells * 16;
    return cell(row0 + row, column0 / 8 + right);
  }
};

}  // namespace adder::kernels::cuda
