// What the norms share: how rows are dealt to warps, and one pass over a row forward and backward.
// A row is held in registers between its two halves, so each element is read once. With v what is
// normalised, n = v rho its normalised value and g = the gradient of n:
//
//   rho = (mean(v^2) + eps)^(-1/2)        grad_v = rho (g - n mean(n g))
//
// A Norm (rms_norm.cu, gated_rms_norm.cu) says what v and g are.
#pragma once

#include <algorithm>

#include "adder/kernels/cuda/column_sums.h"
#include "adder/kernels/cuda/rows.cuh"

namespace adder::kernels::cuda {

/// How the groups of channels that are normalised together are dealt to warps. A row is one group
/// of one row of the arrays.
struct RowSplit {
  int64_t rows = 0;
  int width = 0, groups = 1;  // of a group; in a row of the arrays
  int warps = 1;              // to a row
  int vectors = 0;            // to a thread, in a chunk
  int chunks = 1;             // a row that does not fit in registers is read piece by piece, twice
  int slots = 1;              // rows that a block works on at once, each in its slot
  float eps = 0;

  static constexpr int kMaxWarps = 8;  // of a block
  int threads() const { return kWarpSize * warps * slots; }
  int64_t blocks_for_all() const { return ceil_div(rows, slots); }
};

/// Where a thread is in a row: its vector k begins at column(k), if has(k).
struct RowPlace {
  int64_t row = 0;
  int group_begin = 0;  // column of the arrays
  int first = 0, step = 0, width = 0;

  __device__ bool has(int k) const { return first + k * step < width; }
  __device__ int column(int k) const { return group_begin + first + k * step; }
};

/// Rows of an array of T; null: not given.
template <typename T>
struct RowArray {
  T* data = nullptr;
  int64_t stride = 0;

  RowArray() = default;
  explicit RowArray(const View<2>& view)
      : data(static_cast<T*>(view.data)), stride(view.stride[0]) {}
  __device__ bool given() const { return data != nullptr; }
  __device__ T* at(const RowPlace& place, int k) const {
    return data + place.row * stride + place.column(k);
  }
};

/// Vector k of each of kVectors, zero where there is none; all loads are under way at once.
template <typename T, int kCount, int kVectors>
__device__ __forceinline__ void load_row(const RowArray<T>& from, const RowPlace& place,
                                         Packed<T, kCount> (&to)[kVectors]) {
#pragma unroll
  for (int k = 0; k < kVectors; ++k) {
    to[k] = {};
    if (from.given() && place.has(k)) to[k] = load<T, kCount>(from.at(place, k));
  }
}

/// kCount floats of the weight.
template <int kCount>
__device__ __forceinline__ void load_weight(const float* from, float (&to)[kCount]) {
  constexpr int kPiece = kCount < 4 ? kCount : 4;
#pragma unroll
  for (int i = 0; i < kCount; i += kPiece) {
    float piece[kPiece];
    unpack<float, kPiece>(load<float, kPiece>(from + i), piece);
#pragma unroll
    for (int j = 0; j < kPiece; ++j) to[i + j] = piece[j];
  }
}

template <int kVectors, int kCount>
__device__ __forceinline__ float sum_of_squares(const float (&v)[kVectors][kCount]) {
  float sum = 0;
#pragma unroll
  for (int k = 0; k < kVectors; ++k)
#pragma unroll
    for (int i = 0; i < kCount; ++i) sum += v[k][i] * v[k][i];
  return sum;
}

/// v rho weight
template <int kCount>
__device__ __forceinline__ void scale_by_weight(const float (&v)[kCount], float rho,
                                                const float* weight, float (&to)[kCount]) {
  load_weight(weight, to);
#pragma unroll
  for (int i = 0; i < kCount; ++i) to[i] *= v[i] * rho;
}

/// The place of this thread in the first of its block's rows, and which rows its block does.
struct RowWalk {
  RowPlace place;
  int64_t next;   // from one row of this thread to its next
  int64_t block;  // among the blocks of this group
  int slot, chunk_width;

  __device__ RowWalk(const RowSplit& split, int count) {
    const int of_row = split.warps * kWarpSize;
    block = blockIdx.x / split.groups;
    slot = static_cast<int>(threadIdx.x) / of_row;
    place.row = block * split.slots + slot;
    next = int64_t{gridDim.x / split.groups} * split.slots;
    place.group_begin = static_cast<int>(blockIdx.x % split.groups) * split.width;
    place.first = static_cast<int>(threadIdx.x % of_row) * count;
    place.step = of_row * count;
    place.width = split.width;
    chunk_width = place.step * split.vectors;
  }
  __device__ RowPlace at(int chunk) const {
    RowPlace moved = place;
    moved.first += chunk * chunk_width;
    return moved;
  }
};

template <class Norm>
__global__ void __launch_bounds__(kWarpSize* RowSplit::kMaxWarps)
    norm_forward(const Norm norm, const RowSplit split) {
  const RowWalk walk(split, Norm::kCount);
  if (walk.place.row >= split.rows) return;  // a warp that meets no barrier: else slots == 1
  typename Norm::Row row;
  float squares[1] = {0};
  for (int chunk = 0; chunk < split.chunks; ++chunk) {
    norm.load(row, walk.at(chunk));
    squares[0] += sum_of_squares(row.v);
  }
  row_sums</*kSlots=*/false>(squares, split.warps, 0);
  const float rho = rsqrtf(squares[0] / static_cast<float>(split.width) + split.eps);
  for (int chunk = split.chunks - 1; chunk >= 0; --chunk) {
    if (chunk + 1 < split.chunks) norm.load(row, walk.at(chunk));
    norm.write(row, walk.at(chunk), rho);
  }
}

/// Gradients of the weight that the rows of a thread have added up.
template <int kVectors, int kCount>
struct WeightSums {
  float at[kVectors][kCount] = {};
};

/// Adds what a thread has to its columns of its block's row of partial sums: for rows in chunks,
/// whose sums do not fit in registers.
template <int kVectors, int kCount>
__device__ void flush(WeightSums<kVectors, kCount>& sums, const RowPlace& place, float* partials,
                      bool first) {
#pragma unroll
  for (int k = 0; k < kVectors; ++k)
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (!place.has(k)) continue;
      float& to = partials[place.column(k) + i];
      to = first ? sums.at[k][i] : to + sums.at[k][i];
      sums.at[k][i] = 0;
    }
}

/// The sums of a block's rows, slot by slot in order, to its row of partial sums.
template <int kVectors, int kCount>
__device__ void write_sums(const WeightSums<kVectors, kCount>& sums, const RowWalk& walk,
                           float* partials, const RowSplit& split) {
  __shared__ float of_thread[RowSplit::kMaxWarps * kWarpSize][kCount];
  const float* of_slot = &of_thread[0][0];  // slots side by side, each its columns
  const int columns = walk.place.step, first = walk.place.group_begin;
#pragma unroll
  for (int k = 0; k < kVectors; ++k) {
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kCount; ++i) of_thread[threadIdx.x][i] = sums.at[k][i];
    __syncthreads();
    for (int column = static_cast<int>(threadIdx.x); column < columns; column += blockDim.x) {
      float total = 0;
      for (int slot = 0; slot < split.slots; ++slot) total += of_slot[slot * columns + column];
      if (k * columns + column < split.width) partials[first + k * columns + column] = total;
    }
  }
}

/// Each block takes every so many rows; `partials` (blocks of a group, groups x width) gets the
/// sums for the gradient of the weight, if it is wanted.
template <class Norm>
__global__ void __launch_bounds__(kWarpSize* RowSplit::kMaxWarps, 2)
    norm_backward(const Norm norm, const RowSplit split, float* partials) {
  const RowWalk walk(split, Norm::kCount);
  const float share = 1.0f / static_cast<float>(split.width);
  if (partials != nullptr) partials += walk.block * split.width * split.groups;
  typename Norm::Row row;
  WeightSums<Norm::kVectors, Norm::kCount> weight_sums;
  const bool whole = split.chunks == 1;
  RowWalk at = walk;
  for (int turn = 0; at.place.row < split.rows; at.place.row += at.next, ++turn) {
    float sums[2] = {0, 0};  // v^2 and v g
    for (int chunk = 0; chunk < split.chunks; ++chunk) {
      norm.load(row, at.at(chunk));
      norm.add_sums(row, at.at(chunk), sums);
    }
    row_sums</*kSlots=*/true>(sums, split.warps, turn);
    const float rho = rsqrtf(sums[0] * share + split.eps);
    const float mean = rho * sums[1] * share;  // of n g
    for (int chunk = split.chunks - 1; chunk >= 0; --chunk) {
      const RowPlace place = at.at(chunk);
      if (chunk + 1 < split.chunks) norm.load(row, place);
      norm.write(row, place, rho, mean, weight_sums.at);
      if (!whole && partials != nullptr)
        flush(weight_sums, place, partials, at.place.row == walk.place.row);
    }
  }
  if (whole && partials != nullptr) write_sums(weight_sums, walk, partials, split);
}

/// Elements of a row that a thread may hold, when it reads vectors; single elements: the fewest.
inline constexpr int kElements[] = {8, 16, 24, 32};

/// The least of kElements with which `good_warps` hold a row, if any: more warps wait for each
/// other too long, and threads that hold more leave room for fewer rows. `count`: of a vector.
RowSplit split_rows(int64_t rows, int64_t width, int64_t groups, double eps, int count,
                    int good_warps);

/// Calls body.template operator()<vectors>().
template <int kCount, typename Body>
DeviceAnswer with_vectors(const RowSplit& split, const Body& body) {
  if constexpr (kCount > 1) {
    switch (split.vectors * kCount) {
      case kElements[1]:
        return body.template operator()<kElements[1] / kCount>();
      case kElements[2]:
        return body.template operator()<kElements[2] / kCount>();
      case kElements[3]:
        return body.template operator()<kElements[3] / kCount>();
    }
  }
  return body.template operator()<kElements[0] / kCount>();
}

template <class Norm>
DeviceAnswer run_forward(const Norm& norm, const RowSplit& split, const DeviceWork& work) {
  const auto blocks = static_cast<uint32_t>(split.blocks_for_all() * split.groups);
  norm_forward<Norm><<<blocks, split.threads(), 0, stream_of(work)>>>(norm, split);
  return launched();
}

template <class Norm>
DeviceAnswer run_backward(const Norm& norm, RowSplit split, const View<1>& grad_weight,
                          const DeviceWork& work) {
  split.slots = RowSplit::kMaxWarps / split.warps;  // few blocks, for each leaves sums behind
  const auto kernel = norm_backward<Norm>;
  // Without rows there is nothing to add up, and the sums are 0.
  const int64_t at_once = blocks_at_once(kernel, split.threads(), 0) / split.groups,
                blocks = std::min(std::max<int64_t>(1, at_once), split.blocks_for_all()),
                width = int64_t{split.width} * split.groups;
  float* partials = grad_weight.given() ? take<float>(work, blocks * width) : nullptr;
  if (blocks > 0) {
    kernel<<<static_cast<uint32_t>(blocks * split.groups), split.threads(), 0, stream_of(work)>>>(
        norm, split, partials);
    if (const DeviceAnswer wrong = launched()) return wrong;
  }
  if (!grad_weight.given()) return nullptr;
  return sum_columns(
      {partials, blocks, width, 1, {{grad_weight.as<float>(), grad_weight.stride[0]}}},
      stream_of(work));
}

}  // namespace adder::kernels::cuda
