// Sums of the columns of partial sums, in a fixed order: what stands in for atomics.
#pragma once

#include "adder/kernels/cuda/device.h"

namespace adder::kernels::cuda {

/// Where the sums of a block of columns go; nowhere if null.
struct ColumnSumTarget {
  float* data = nullptr;
  int64_t stride = 1;
};

/// (rows, targets, columns) floats, dense: target i gets the sums over rows of columns
/// [i columns, (i + 1) columns).
struct ColumnSums {
  static constexpr int kMaxTargets = 9;
  const float* partials = nullptr;
  int64_t rows = 0, columns = 0;
  int targets = 0;
  ColumnSumTarget target[kMaxTargets];
};

DeviceAnswer sum_columns(const ColumnSums& sums, cudaStream_t stream);

}  // namespace adder::kernels::cuda
