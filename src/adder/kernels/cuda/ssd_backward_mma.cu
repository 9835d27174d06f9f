// The backward pass of ssd() for bf16: the step sizes, the states at chunk boundaries in both
// directions, then all chunks at once, then the sums.
#include "adder/kernels/cuda/ssd_backward_mma.cuh"
#include "adder/kernels/cuda/ssd_kernels.h"

namespace adder::kernels::cuda {
namespace {

/// bf16, rows on 16 bytes.
bool has_aligned_rows(const View<4>& view) {
  if (!view.given()) return true;
  return view.dtype == DType::bf16 && view.stride[3] == 1 &&
         reinterpret_cast<uintptr_t>(view.data) % 16 == 0 && view.stride[0] % 8 == 0 &&
         view.stride[1] % 8 == 0 && view.stride[2] % 8 == 0;
}

Sizes sizes_of(const SsdInputs& in) {
  const auto of = [](int64_t n) { return static_cast<int>(n); };
  return {of(in.x.size[0]), of(in.x.size[1]), of(in.x.size[2]), of(in.B.size[2]),
          of(ceil_div(in.x.size[1], kChunk))};
}

Workspace workspace(const SsdInputs& in, const Sizes& sizes, const StateSegments& segments,
                    int blocks, const DeviceWork& work) {
  const int64_t rows = int64_t{1} * sizes.batch * sizes.chunks, units = rows * sizes.heads,
                state = in.x.size[3] * in.B.size[3],
                segment_ends = int64_t{2} * sizes.batch * sizes.heads * segments.count;
  const int64_t keys = blocks * in.x.size[0] * in.x.size[1] * in.B.size[2] * in.B.size[3];
  Workspace space = {};
  space.steps = take<ChunkSteps>(work, units);
  space.documents = take<Documents>(work, rows);
  space.packed = in.seq_idx.given();
  space.before = take<__nv_bfloat16>(work, units * state);
  space.after = take<__nv_bfloat16>(work, units * state);
  if (segments.count > 1) {
    space.ends = take<float>(work, segment_ends * state);
    space.end_decays = take<float>(work, segment_ends);
  }
  space.dA = take<float>(work, units);
  space.dt_bias = take<float>(work, units);
  space.dD = take<float>(work, units * (in.D.given() ? in.D.size[1] : 1));
  if (blocks > 1) {
    space.dB = take<float>(work, keys);
    space.dC = take<float>(work, keys);
  }
  return space;
}

}  // namespace

bool takes_backward_mma(const SsdInputs& in, const SsdGradients& grads) {
  const int64_t head_dim = in.x.size[3], states = in.B.size[3];
  const bool shape = (head_dim == 32 || head_dim == 64) && (states == 64 || states == 128) &&
                     in.x.size[0] >= 1 && in.x.size[0] <= 65535 && in.x.size[1] >= 1 &&
                     in.x.size[1] < (int64_t{1} << 30) && in.x.size[2] <= 65535 && in.dt_min >= 0;
  const bool rows = has_aligned_rows(in.x) && has_aligned_rows(in.B) && has_aligned_rows(in.C) &&
                    has_aligned_rows(grads.grad_y) && has_aligned_rows(grads.grad_x) &&
                    has_aligned_rows(grads.grad_B) && has_aligned_rows(grads.grad_C);
  return shape && rows && !in.z.given() &&
         device_attribute(cudaDevAttrComputeCapabilityMajor) >= 8 &&
         device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) >= kGradientTileBytes;
}

DeviceAnswer ssd_backward_mma(const SsdInputs& in, const SsdGradients& grads,
                              const DeviceWork& work) {
  const Sizes sizes = sizes_of(in);
  const int multiprocessors = device_attribute(cudaDevAttrMultiProcessorCount);
  const bool states_sm90 = takes_states_sm90(in, grads);
  const StateSegments segments = states_sm90 ? state_segments_sm90(sizes, multiprocessors)
                                             : state_segments(sizes, multiprocessors);
  const int blocks = head_blocks(sizes, multiprocessors);
  const Workspace space = workspace(in, sizes, segments, blocks, work);
  const cudaStream_t stream = stream_of(work);
  if (states_sm90) {
    if (const auto error = launch_states_sm90(in, grads, sizes, segments, space, stream))
      return error;
  } else {
    if (const auto error = launch_steps(in, sizes, space, stream)) return error;
    if (const auto error = launch_states(in, grads, sizes, segments, space, stream)) return error;
  }
  if (const auto error = launch_tiles(in, grads, sizes, blocks, space, stream)) return error;
  return launch_sums(in, grads, sizes, blocks, space, stream);
}

}  // namespace adder::kernels::cuda
