#include "adder/kernels/cuda/column_sums.h"

#include <algorithm>

namespace adder::kernels::cuda {
namespace {

constexpr int kColumns = 32, kMostParts = 32, kInFlight = 8;

/// Part p of the block sums rows p, p + parts, ... of a column, the loads of kInFlight under way at
/// once; part 0 then adds the parts in order.
__global__ void __launch_bounds__(kColumns* kMostParts) column_sums(const ColumnSums sums) {
  __shared__ float of_part[kMostParts][kColumns];
  const int parts = blockDim.y;
  const int64_t column = int64_t{blockIdx.x} * kColumns + threadIdx.x;
  const ColumnSumTarget target = sums.target[blockIdx.y];
  const bool wanted = column < sums.columns && target.data != nullptr;
  float total = 0;
  if (wanted) {
    const int64_t step = sums.columns * sums.targets;
    const float* from = sums.partials + blockIdx.y * sums.columns + column;
    for (int64_t row = threadIdx.y; row < sums.rows; row += kInFlight * parts) {
      float values[kInFlight];
#pragma unroll
      for (int i = 0; i < kInFlight; ++i)
        values[i] = row + i * parts < sums.rows ? from[(row + i * parts) * step] : 0.0f;
#pragma unroll
      for (int i = 0; i < kInFlight; ++i) total += values[i];
    }
  }
  of_part[threadIdx.y][threadIdx.x] = total;
  __syncthreads();
  if (threadIdx.y != 0 || !wanted) return;
  for (int part = 1; part < parts; ++part) total += of_part[part][threadIdx.x];
  target.data[column * target.stride] = total;
}

}  // namespace

DeviceAnswer sum_columns(const ColumnSums& sums, cudaStream_t stream) {
  if (sums.columns == 0) return nullptr;
  const int64_t parts = std::clamp<int64_t>(ceil_div(sums.rows, kInFlight), 1, kMostParts);
  const dim3 grid(static_cast<uint32_t>(ceil_div(sums.columns, kColumns)), sums.targets);
  column_sums<<<grid, dim3(kColumns, static_cast<uint32_t>(parts)), 0, stream>>>(sums);
  return launched();
}

}  // namespace adder::kernels::cuda
