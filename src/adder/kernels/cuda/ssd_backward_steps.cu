// Step sizes, decays and documents of all chunks, once for the kernels of the backward pass.
#include "adder/kernels/cuda/ssd_backward_steps.cuh"

namespace adder::kernels::cuda {
namespace {

/// A block for each (chunk, row); a warp takes every kWarps-th head.
constexpr int kWarps = 8;

__global__ void steps_kernel(StepSizes from, const int32_t* seq_idx, int64_t row_stride,
                             int64_t token_stride, Sizes sizes, Workspace space) {
  const int chunk = blockIdx.x, batch = blockIdx.y, warp = threadIdx.x / 32;
  const int64_t first = int64_t{chunk} * kChunk;
  const Documents documents =
      chunk_documents(seq_idx == nullptr ? nullptr : seq_idx + batch * row_stride, token_stride,
                      first, sizes.length);
  if (threadIdx.x == 0)
    space.documents[static_cast<int64_t>(batch) * sizes.chunks + chunk] = documents;
  const PairDocuments tokens = pair_documents(documents);
  for (int head = warp; head < sizes.heads; head += kWarps) {
    const HeadSteps steps[] = {head_steps(from, batch, first, head)};
    const RawPair dt[] = {raw_pair(from, steps[0].dt, sizes.length - first)};
    StepPair pairs[1];
    step_pairs(from, dt, steps, tokens, pairs);
    write_steps(from, pairs[0], steps[0].A, space.steps[sizes.unit(batch, head, chunk)]);
  }
}

}  // namespace

DeviceAnswer launch_steps(const SsdInputs& in, const Sizes& sizes, const Workspace& space,
                          cudaStream_t stream) {
  steps_kernel<<<dim3(sizes.chunks, sizes.batch), 32 * kWarps, 0, stream>>>(
      step_sizes(in), in.seq_idx.as<int32_t>(), in.seq_idx.stride[0], in.seq_idx.stride[1], sizes,
      space);
  return launched();
}

}  // namespace adder::kernels::cuda
