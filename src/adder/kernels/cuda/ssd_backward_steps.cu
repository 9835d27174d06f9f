// Step sizes, decays and documents of all chunks, once for the kernels of the backward pass.
#include "adder/kernels/cuda/ssd_backward_mma.cuh"

namespace adder::kernels::cuda {
namespace {

/// d Delta / d dt, zero where the limits hold Delta.
__device__ __forceinline__ float step_slope(const StepSizes& sizes, float raw) {
  const float delta = unlimited_step(sizes, raw);
  if (!(sizes.low <= delta && delta <= sizes.high)) return 0.f;
  return sizes.softplus && raw <= 20.f ? 1.f / (1.f + __expf(-raw)) : 1.f;
}

/// The pair of this lane.
__device__ __forceinline__ void write_steps(const Documents& documents, const TokenPair& pair,
                                            const float (&slope)[2], float A, ChunkSteps& to) {
  const int lane = threadIdx.x & 31, last_begin = document_start(documents.begins, kChunk - 1);
  const float c_end = __shfl_sync(kWarp, pair.c[1], 31);
  float to_end[2], from_start[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int token = 2 * lane + i;
    to_end[i] = token >= last_begin ? ex2(fminf(c_end - pair.c[i], 0.f)) : 0.f;
    from_start[i] = document_start(documents.begins, token) < 0 ? ex2(pair.c[i]) : 0.f;
  }
  const auto write = [&](float(&row)[kChunk], float a, float b) {
    reinterpret_cast<float2*>(row)[lane] = {a, b};
  };
  write(to.delta, pair.delta[0], pair.delta[1]);
  write(to.c, pair.c[0], pair.c[1]);
  write(to.slope, slope[0], slope[1]);
  write(to.to_end, to_end[0], to_end[1]);
  write(to.weight[0], pair.delta[0] * to_end[0], pair.delta[1] * to_end[1]);
  write(to.weight[1], from_start[0], from_start[1]);
  if (lane != 0) return;
  to.carried = last_begin < 0 ? c_end : -INFINITY;
  to.A = A;
}

/// A block for each (chunk, row); a warp takes every kWarps-th head.
constexpr int kWarps = 8;

__global__ void steps_kernel(StepSizes from, const int32_t* seq_idx, int64_t row_stride,
                             int64_t token_stride, Sizes sizes, Workspace space) {
  const int chunk = blockIdx.x, batch = blockIdx.y, warp = threadIdx.x / 32,
            lane = threadIdx.x & 31;
  const int64_t first = int64_t{chunk} * kChunk;
  const Documents documents =
      chunk_documents(seq_idx == nullptr ? nullptr : seq_idx + batch * row_stride, token_stride,
                      first, sizes.length);
  if (threadIdx.x == 0)
    space.documents[static_cast<int64_t>(batch) * sizes.chunks + chunk] = documents;
  for (int head = warp; head < sizes.heads; head += kWarps) {
    float delta[2], slope[2];
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      const int token = 2 * lane + i;
      const bool padding = documents.padding >> token & 1;
      const float raw = padding ? 0.f : raw_step(from, batch, first + token, head);
      delta[i] = padding ? 0.f : step_of(from, raw);
      slope[i] = padding ? 0.f : step_slope(from, raw);
    }
    const float A = from.A[head * from.A_stride];
    const TokenPair pair = scan_pair(delta[0], delta[1], A);
    write_steps(documents, pair, slope, A, space.steps[sizes.unit(batch, head, chunk)]);
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
