#include "adder/kernels/cuda/norm_rows.cuh"

#include <algorithm>

namespace adder::kernels::cuda {

RowSplit split_rows(int64_t rows, int64_t width, int64_t groups, double eps, int count,
                    int good_warps) {
  int elements = kElements[0];
  for (const int more : kElements)
    if (count > 1 && ceil_div(width, int64_t{kWarpSize} * elements) > good_warps) elements = more;
  const int64_t of_warp = int64_t{kWarpSize} * elements;
  const int64_t warps = std::min<int64_t>(ceil_div(width, of_warp), RowSplit::kMaxWarps);
  return {.rows = rows,
          .width = static_cast<int>(width),
          .groups = static_cast<int>(groups),
          .warps = static_cast<int>(warps),
          .vectors = elements / count,
          .chunks = static_cast<int>(ceil_div(width, of_warp * warps)),
          .slots = warps == 1 ? 4 : 1,
          .eps = static_cast<float>(eps)};
}

}  // namespace adder::kernels::cuda
