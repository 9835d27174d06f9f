#include <algorithm>

#include "adder/base/draw.h"
#include "adder/kernels/cuda/device.h"
#include "adder/kernels/cuda/functions.h"

namespace adder::kernels::cuda {
namespace {

constexpr int kThreads = 256;

__global__ void draw_elements(Draw what, int64_t count, float* out) {
  const int64_t stride = int64_t{gridDim.x} * kThreads;
  for (int64_t i = int64_t{blockIdx.x} * kThreads + threadIdx.x; i < count; i += stride) {
    out[i] = element_of(what, units_at(what.seed, what.stream, static_cast<uint64_t>(i)));
  }
}

}  // namespace

DeviceAnswer draw(const Draw& what, int64_t count, float* out, const DeviceWork& work) {
  if (count == 0) return nullptr;
  constexpr int64_t kMostBlocks = 1 << 16;
  const auto blocks = static_cast<unsigned>(std::min(ceil_div(count, kThreads), kMostBlocks));
  draw_elements<<<blocks, kThreads, 0, stream_of(work)>>>(what, count, out);
  return launched();
}

}  // namespace adder::kernels::cuda
