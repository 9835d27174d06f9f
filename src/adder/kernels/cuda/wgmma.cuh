// Tensor cores of Hopper through wgmma: four warps multiply a 64-row A, in registers or shared
// memory, by a B in shared memory, asynchronously. Compiled for sm_90a alone.
//
// Operands in shared memory are tiles of 64 columns of bf16 (128 bytes a row), 1024-byte aligned,
// whose 16-byte cells are turned as in Tile<64> (mma.cuh). Warp w of the four holds rows 16 w ...
// 16 w + 15 of A and of the sum, in the fragments of mma.cuh: accumulator 4 j + i is number i of
// fragment D of columns 8 j ... 8 j + 7.
#pragma once

#include <cstdint>

namespace adder::kernels::cuda {

#ifdef __CUDA_ARCH_FEAT_SM90_ALL
inline constexpr bool kHasWgmma = true;
#else
inline constexpr bool kHasWgmma = false;
#endif

/// 64 rows x kColumns of f32 over the 128 threads of a warpgroup.
template <int kColumns>
using Accumulator = float[kColumns / 2];

/// An operand in shared memory, as wgmma is told of it.
struct Operand {
  static constexpr uint32_t kSwizzle128 = uint32_t{1} << 30, kEightRows = 1024 >> 4;

  uint32_t low, high = kSwizzle128 | kEightRows;

  /// The same, some bytes (a multiple of 16) further on.
  __device__ __forceinline__ Operand at(int bytes) const { return {low + (bytes >> 4), high}; }
  __device__ __forceinline__ uint64_t descriptor() const { return uint64_t{high} << 32 | low; }
};
/// B (or A) from a tile whose rows run along k: B[k][n] = tile[n][k]. A step of 16 in k is 32
/// bytes.
__device__ __forceinline__ Operand rows_operand(uint32_t address) {
  return {uint32_t{1} << 16 | address >> 4};
}
/// B from tiles whose rows run along n: B[k][n] = tile[k][n], a tile for each 64 of n, 8192 bytes
/// apart. A step of 16 in k is 2048 bytes.
__device__ __forceinline__ Operand columns_operand(uint32_t address) {
  return {uint32_t{8192 >> 4} << 16 | address >> 4};
}

/// B[k][n] = T[k][n] from blocks of 8 x 8 of 128 bytes that lie next to each other along n;
/// `down` bytes from a block to the one below it. A step of 16 in k is 2 `down` bytes.
__device__ __forceinline__ Operand blocks_operand(uint32_t address, int down) {
  return {static_cast<uint32_t>(down >> 4) << 16 | address >> 4, 128 >> 4};
}
/// B[k][n] = T[n][k] from the same blocks. A step of 16 in k is 256 bytes.
__device__ __forceinline__ Operand block_rows_operand(uint32_t address, int down) {
  return {uint32_t{128 >> 4} << 16 | address >> 4, static_cast<uint32_t>(down >> 4)};
}

/// Before the first wgmma that reads or adds to registers written by other instructions.
__device__ __forceinline__ void wgmma_fence() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}
/// Ends a group of wgmma.
__device__ __forceinline__ void wgmma_commit() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}
/// Until at most kPending groups are under way.
template <int kPending>
__device__ __forceinline__ void wgmma_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(kPending) : "memory");
}
/// Keeps the compiler from moving what writes or reads these registers over a fence or a wait.
template <int kCount>
__device__ __forceinline__ void pin(float (&registers)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; ++i) asm volatile("" : "+f"(registers[i])::"memory");
}
template <int kRows, int kCount>
__device__ __forceinline__ void pin(uint32_t (&registers)[kRows][kCount]) {
#pragma unroll
  for (int i = 0; i < kRows * kCount; ++i)
    asm volatile("" : "+r"(registers[i / kCount][i % kCount])::"memory");
}

/// d (64 x 64) = A B, or += where `add`; A in registers. kColumns: B is a columns_operand().
template <bool kColumns>
__device__ __forceinline__ void wgmma(Accumulator<64>& d, const uint32_t (&a)[4], Operand b,
                                      bool add) {
  asm volatile(
      "{ .reg .pred more; setp.ne.b32 more, %37, 0; "
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, "
      "%6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "
      "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, {%32, %33, %34, %35}, %36, "
      "more, 1, 1, %38; }"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
        "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
        "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
        "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
        "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.descriptor()), "r"(int{add}),
        "n"(int{kColumns}));
}

/// The same, d (64 x 128).
template <bool kColumns>
__device__ __forceinline__ void wgmma(Accumulator<128>& d, const uint32_t (&a)[4], Operand b,
                                      bool add) {
  asm volatile(
      "{ .reg .pred more; setp.ne.b32 more, %69, 0; "
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, "
      "%6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "
      "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, "
      "%37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51, "
      "%52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, {%64, %65, %66, "
      "%67}, %68, more, 1, 1, %70; }"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
        "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
        "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
        "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
        "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31]), "+f"(d[32]), "+f"(d[33]), "+f"(d[34]),
        "+f"(d[35]), "+f"(d[36]), "+f"(d[37]), "+f"(d[38]), "+f"(d[39]), "+f"(d[40]), "+f"(d[41]),
        "+f"(d[42]), "+f"(d[43]), "+f"(d[44]), "+f"(d[45]), "+f"(d[46]), "+f"(d[47]), "+f"(d[48]),
        "+f"(d[49]), "+f"(d[50]), "+f"(d[51]), "+f"(d[52]), "+f"(d[53]), "+f"(d[54]), "+f"(d[55]),
        "+f"(d[56]), "+f"(d[57]), "+f"(d[58]), "+f"(d[59]), "+f"(d[60]), "+f"(d[61]), "+f"(d[62]),
        "+f"(d[63])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b.descriptor()), "r"(int{add}),
        "n"(int{kColumns}));
}

/// d (64 x 32) = A B^T, or += where `add`; the rows of both run along k.
__device__ __forceinline__ void wgmma(Accumulator<32>& d, Operand a, Operand b, bool add) {
  asm volatile(
      "{ .reg .pred more; setp.ne.b32 more, %18, 0; "
      "wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, "
      "%6, %7, %8, %9, %10, %11, %12, %13, %14, %15}, %16, %17, more, 1, 1, 0, 0; }"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
        "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
        "+f"(d[14]), "+f"(d[15])
      : "l"(a.descriptor()), "l"(b.descriptor()), "r"(int{add}));
}

/// The same, d (64 x 64).
__device__ __forceinline__ void wgmma(Accumulator<64>& d, Operand a, Operand b, bool add) {
  asm volatile(
      "{ .reg .pred more; setp.ne.b32 more, %34, 0; "
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, "
      "%6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, "
      "%22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, %32, %33, more, 1, 1, 0, 0; "
      "}"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]),
        "+f"(d[7]), "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]),
        "+f"(d[14]), "+f"(d[15]), "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]),
        "+f"(d[21]), "+f"(d[22]), "+f"(d[23]), "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]),
        "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
      : "l"(a.descriptor()), "l"(b.descriptor()), "r"(int{add}));
}

}  // namespace adder::kernels::cuda
