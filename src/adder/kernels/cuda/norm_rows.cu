#include "adder/kernels/cuda/norm_rows.cuh"

#include <algorithm>

namespace adder::kernels::cuda {

RowSplit split_rows(int64_t rows, int64_t width, int64_t groups, double eps, int count,
                    int good_warps) {
  int elements = kElements[0];
  for (const int more : kElements)
    if (count > 1 && ceil_div(width, int64_t{kWarp} * elements) > good_warps) elements = more;
  const int64_t of_warp = int64_t{kWarp} * elements;
  const int64_t warps = std::min<int64_t>(ceil_div(width, of_warp), RowSplit::kMaxWarps);
  return {.rows = rows,
          .width = static_cast<int>(width),
          .groups = static_cast<int>(groups),
          .warps = static_cast<int>(warps),
          .vectors = elements / count,
          .chunks = static_cast<int>(ceil_div(width, of_warp * warps)),
          .eps = static_cast<float>(eps)};
}

int64_t resident_blocks(const void* kernel, const RowSplit& split) {
  int device = 0, processors = 0, of_processor = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&of_processor, kernel, split.threads(), 0);
  const int64_t resident = std::max(1, processors * of_processor / split.groups);
  return std::max<int64_t>(1, std::min(resident, split.blocks_for_all()));
}

}  // namespace adder::kernels::cuda
