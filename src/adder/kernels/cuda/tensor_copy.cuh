// Tiles between global and shared memory through Hopper's copy engine, and the barriers that tell
// of their arrival. A TensorMap describes a (batch, length, heads, width) array of bf16 with any
// strides that are multiples of 16 bytes; a tile is 64 tokens x 64 columns of one head, laid out as
// Tile<64> (mma.cuh). Tokens behind the end arrive as zeros.
#pragma once

#include <cuda.h>

#include "adder/kernels/cuda/device.h"
#include "adder/kernels/cuda/mma.cuh"

namespace adder::kernels::cuda {

inline constexpr int kTileBytes = 64 * 64 * 2;

/// nullptr, or what is wrong. Size-one dimensions may have any stride.
inline DeviceAnswer encode_tiles(CUtensorMap& map, const View<4>& view) {
  static const auto encode = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found;
    const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry,
                                                               12000, cudaEnableDefault, &found);
    return error == cudaSuccess && found == cudaDriverEntryPointSuccess
               ? reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(entry)
               : nullptr;
  }();
  if (encode == nullptr) return "this driver has no cuTensorMapEncodeTiled";
  const auto bytes = [&](int d) {
    return static_cast<cuuint64_t>(view.size[d] == 1 ? 16 : view.stride[d] * 2);
  };
  const auto count = [&](int d) { return static_cast<cuuint64_t>(view.size[d]); };
  const cuuint64_t sizes[] = {count(3), count(2), count(1), count(0)};
  const cuuint64_t strides[] = {bytes(2), bytes(1), bytes(0)};
  const cuuint32_t box[] = {64, 1, 64, 1}, steps[] = {1, 1, 1, 1};
  const CUresult result =
      encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 4, view.data, sizes, strides, box, steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? nullptr : "cuTensorMapEncodeTiled refused the array";
}

/// A place of a tile: first column, head (or group), first token, row of the batch.
struct TilePlace {
  int column, head, token, batch;
};

// mbarriers in shared memory. A phase ends when all arrivals and all announced bytes are there.

__device__ __forceinline__ void barrier_init(uint32_t barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(barrier), "r"(arrivals) : "memory");
}
/// After the last barrier_init, before the barriers of all threads.
__device__ __forceinline__ void barrier_init_done() {
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
}
__device__ __forceinline__ void arrive(uint32_t barrier) {
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(barrier) : "memory");
}
/// Arrives, and announces bytes that the copy engine will bring.
__device__ __forceinline__ void arrive_with_bytes(uint32_t barrier, int bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier), "r"(bytes)
               : "memory");
}
/// Until the phase of this parity has ended.
__device__ __forceinline__ void wait_phase(uint32_t barrier, uint32_t parity) {
  asm volatile(
      "{ .reg .pred done;\n"
      "again: mbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
      "@!done bra again; }" ::"r"(barrier),
      "r"(parity)
      : "memory");
}

/// A tile to shared memory; its bytes count at `barrier`. One thread asks.
__device__ __forceinline__ void load_tile(uint32_t to, const CUtensorMap& map, TilePlace at,
                                          uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], "
      "[%1, {%2, %3, %4, %5}], [%6];" ::"r"(to),
      "l"(&map), "r"(at.column), "r"(at.head), "r"(at.token), "r"(at.batch), "r"(barrier)
      : "memory");
}
/// Bytes that lie together, a multiple of 16, to shared memory, likewise.
__device__ __forceinline__ void copy_bulk(uint32_t to, const void* from, int bytes,
                                          uint32_t barrier) {
  asm volatile(
      "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::
          "r"(to),
      "l"(from), "r"(bytes), "r"(barrier)
      : "memory");
}
/// This thread arrives once its copies of mma.cuh so far are there.
__device__ __forceinline__ void arrive_with_copies(uint32_t barrier) {
  asm volatile("cp.async.mbarrier.arrive.noinc.shared::cta.b64 [%0];" ::"r"(barrier) : "memory");
}
/// A tile from shared memory, in the group that commit_stores() ends. One thread asks, after what
/// async_fence() says. Tokens behind the end are not written.
__device__ __forceinline__ void store_tile(const CUtensorMap& map, TilePlace at, uint32_t from) {
  asm volatile(
      "cp.async.bulk.tensor.4d.global.shared::cta.bulk_group [%0, {%1, %2, %3, %4}], [%5];" ::"l"(
          &map),
      "r"(at.column), "r"(at.head), "r"(at.token), "r"(at.batch), "r"(from)
      : "memory");
}
__device__ __forceinline__ void commit_stores() {
  asm volatile("cp.async.bulk.commit_group;" ::: "memory");
}
/// Until all groups of this thread have read their shared memory.
__device__ __forceinline__ void wait_stores_read() {
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}

/// By each thread that wrote shared memory which wgmma or the copy engine reads next, before the
/// barrier between them.
__device__ __forceinline__ void async_fence() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Barrier `id` (1 ... 15) of the 128 threads of a warpgroup.
__device__ __forceinline__ void warpgroup_barrier(int id) {
  asm volatile("bar.sync %0, 128;" ::"r"(id) : "memory");
}

/// Registers of each thread of this warpgroup from here on.
template <int kCount>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(kCount));
}
template <int kCount>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(kCount));
}

/// Four 8 x 8 matrices of bf16; lane i gives the address of row i % 8 of matrix i / 8.
__device__ __forceinline__ void store_matrices(uint32_t address, const uint32_t (&r)[4]) {
  asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
               "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
               : "memory");
}
__device__ __forceinline__ void store_matrices_transposed(uint32_t address,
                                                          const uint32_t (&r)[4]) {
  asm volatile(
      "stmatrix.sync.aligned.m8n8.x4.trans.shared.b16 [%0], {%1, %2, %3, %4};" ::"r"(address),
      "r"(r[0]), "r"(r[1]), "r"(r[2]), "r"(r[3])
      : "memory");
}

}  // namespace adder::kernels::cuda
