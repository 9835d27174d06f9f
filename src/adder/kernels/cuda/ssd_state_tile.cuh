// A piece of one head's state in the registers of a CTA, in f32, for the kernels that walk token
// after token: any d_state up to 1024, any head_dim.
//
// kLanes neighbouring lanes share kRows channels; a lane holds kItems states of each, four at a
// time. What lies beyond head_dim or d_state is held as zeros.
#pragma once

#include "adder/kernels/cuda/device.h"

namespace adder::kernels::cuda {

template <int kLanes_, int kItems_, int kRows_>
struct TileShape {
  static constexpr int kLanes = kLanes_, kItems = kItems_, kRows = kRows_;
  static constexpr int kWidth = kLanes * kItems;            // states of a channel, d_state or more
  static constexpr int kWarpRows = 32 / kLanes * kRows;     // channels of a warp
  static constexpr int kWarps = 4, kThreads = 32 * kWarps;  // of a CTA
  static constexpr int kChannels = kWarps * kWarpRows;      // of a CTA
};

/// body(a TileShape) for the narrowest that holds `width` states.
template <typename Body>
DeviceAnswer with_tile_shape(int64_t width, const Body& body) {
  if (width <= 16) return body(TileShape<4, 4, 4>());
  if (width <= 64) return body(TileShape<16, 4, 8>());
  if (width <= 128) return body(TileShape<32, 4, 8>());
  if (width <= 256) return body(TileShape<32, 8, 4>());
  if (width <= 1024) return body(TileShape<32, 32, 1>());
  return "ssd: a d_state above 1024 is not taken on the device";
}

/// Sums over each kLanes neighbouring lanes of kRows values: returns that of row
/// (lane % kLanes) / (kLanes / kRows). The order of the sums is the same in every lane.
template <int kLanes, int kRows>
__device__ __forceinline__ float sum_rows(float (&v)[kRows]) {
  static_assert(kRows <= kLanes);
  const int lane = threadIdx.x % 32;
  int offset = kLanes / 2;
#pragma unroll
  for (int rows = kRows / 2; rows >= 1; rows /= 2, offset /= 2) {
    const bool upper = lane & offset;  // keeps the upper half of the rows
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      const float given = upper ? v[i] : v[i + rows];
      const float kept = upper ? v[i + rows] : v[i];
      v[i] = kept + __shfl_xor_sync(0xffffffffu, given, offset);
    }
  }
#pragma unroll
  for (; offset >= 1; offset /= 2) v[0] += __shfl_xor_sync(0xffffffffu, v[0], offset);
  return v[0];
}

template <typename Shape>
struct StateTile {
  static constexpr int kQuads = Shape::kItems / 4;
  static constexpr int kTileQuads = Shape::kRows * kQuads * Shape::kThreads;

  float s[Shape::kRows][Shape::kItems];

  /// Where quad q of this lane begins in a row of states.
  static __device__ __forceinline__ int state_of(int q) {
    return q * 4 * Shape::kLanes + threadIdx.x % Shape::kLanes * 4;
  }
  /// The first of this lane's channels, counted from the first of the CTA.
  static __device__ __forceinline__ int first_row() {
    return static_cast<int>(threadIdx.x) / Shape::kLanes * Shape::kRows;
  }
  /// Whether this warp has any of `channels` channels.
  static __device__ __forceinline__ bool warp_has(int64_t channels) {
    return static_cast<int>(threadIdx.x) / 32 * Shape::kWarpRows < channels;
  }
  /// The row that sum_rows() left here, counted from the first of the CTA; and whether this lane is
  /// the one to store it.
  static constexpr int kLanesARow = Shape::kLanes / Shape::kRows;
  static __device__ __forceinline__ int summed_row() {
    return first_row() + static_cast<int>(threadIdx.x) % Shape::kLanes / kLanesARow;
  }
  static __device__ __forceinline__ bool keeps_sum() { return threadIdx.x % kLanesARow == 0; }

  /// This lane's part of one number a channel; `from`, at a multiple of 16 bytes, is the CTA's
  /// first.
  static __device__ __forceinline__ void read_rows(const float* from, float (&v)[Shape::kRows]) {
    if constexpr (Shape::kRows == 1) {
      v[0] = from[first_row()];
    } else {
#pragma unroll
      for (int r = 0; r < Shape::kRows; r += 4)
        split(*reinterpret_cast<const float4*>(from + first_row() + r), v + r);
    }
  }
  static __device__ __forceinline__ void split(float4 quad, float* v) {
    v[0] = quad.x, v[1] = quad.y, v[2] = quad.z, v[3] = quad.w;
  }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int r = 0; r < Shape::kRows; ++r)
#pragma unroll
      for (int i = 0; i < Shape::kItems; ++i) s[r][i] = 0;
  }

  /// Where a document begins, which is seldom: a branch (the asm keeps it one), not a select for
  /// each number.
  __device__ __forceinline__ void clear_if(bool condition) {
    if (condition) {
      clear();
      asm volatile("");
    }
  }

  /// S = decay S + delta x (outer) B; x of the CTA's channels, B a row of states.
  __device__ __forceinline__ void advance(float decay, float delta, const float* x,
                                          const float* B) {
    float u[Shape::kRows];
    read_rows(x, u);
#pragma unroll
    for (int r = 0; r < Shape::kRows; ++r) u[r] *= delta;
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      float quad[4];
      split(*reinterpret_cast<const float4*>(B + state_of(q)), quad);
#pragma unroll
      for (int r = 0; r < Shape::kRows; ++r)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          float& state = s[r][4 * q + i];
          state = fmaf(decay, state, u[r] * quad[i]);
        }
    }
  }

  /// S C of row summed_row().
  __device__ __forceinline__ float times(const float* C) const {
    float y[Shape::kRows] = {};
#pragma unroll
    for (int q = 0; q < kQuads; ++q) {
      float quad[4];
      split(*reinterpret_cast<const float4*>(C + state_of(q)), quad);
#pragma unroll
      for (int r = 0; r < Shape::kRows; ++r)
#pragma unroll
        for (int i = 0; i < 4; ++i) y[r] = fmaf(s[r][4 * q + i], quad[i], y[r]);
    }
    return sum_rows<Shape::kLanes>(y);
  }

  /// From and to a dense (rows, width) array that begins at the CTA's first channel. kWhole: width
  /// is a multiple of 4 and the array lies at a multiple of 16 bytes.
  template <bool kWhole>
  __device__ __forceinline__ void load(const float* from, int64_t rows, int64_t width) {
    for_each_quad(rows, width, [&](int r, int q, int64_t at, int64_t left) {
      float4 v{0, 0, 0, 0};
      if constexpr (kWhole) {
        if (left > 0) v = __ldcs(reinterpret_cast<const float4*>(from + at));
      } else {
        if (left > 0) v.x = from[at];
        if (left > 1) v.y = from[at + 1];
        if (left > 2) v.z = from[at + 2];
        if (left > 3) v.w = from[at + 3];
      }
      split(v, s[r] + 4 * q);
    });
  }
  template <bool kWhole>
  __device__ __forceinline__ void store(float* to, int64_t rows, int64_t width) const {
    for_each_quad(rows, width, [&](int r, int q, int64_t at, int64_t left) {
      if constexpr (kWhole) {
        if (left > 0) __stcs(reinterpret_cast<float4*>(to + at), quad(r, q));
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i)
          if (left > i) to[at + i] = s[r][4 * q + i];
      }
    });
  }

  /// This thread's part, to be read again by the same thread; kTileQuads each.
  __device__ __forceinline__ void keep(float4* place) const {
#pragma unroll
    for (int r = 0; r < Shape::kRows; ++r)
#pragma unroll
      for (int q = 0; q < kQuads; ++q)
        place[(r * kQuads + q) * Shape::kThreads + threadIdx.x] = quad(r, q);
  }
  __device__ __forceinline__ void recall(const float4* place) {
#pragma unroll
    for (int r = 0; r < Shape::kRows; ++r)
#pragma unroll
      for (int q = 0; q < kQuads; ++q)
        split(place[(r * kQuads + q) * Shape::kThreads + threadIdx.x], s[r] + 4 * q);
  }

 private:
  __device__ __forceinline__ float4 quad(int r, int q) const {
    return {s[r][4 * q], s[r][4 * q + 1], s[r][4 * q + 2], s[r][4 * q + 3]};
  }
  /// body(row, quad, its place in a dense array, how many of the four are within it)
  template <typename Body>
  static __device__ __forceinline__ void for_each_quad(int64_t rows, int64_t width,
                                                       const Body& body) {
#pragma unroll
    for (int r = 0; r < Shape::kRows; ++r) {
      const int64_t row = first_row() + r;
#pragma unroll
      for (int q = 0; q < kQuads; ++q)
        body(r, q, row * width + state_of(q), row < rows ? width - state_of(q) : 0);
    }
  }
};

}  // namespace adder::kernels::cuda
