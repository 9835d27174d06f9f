// ssd() by mma.sync: bf16, any device of compute capability 8.0 on.
#include "adder/kernels/cuda/ssd_forward_mma.cuh"

#include "adder/kernels/cuda/ssd_kernels.h"

namespace adder::kernels::cuda {
namespace {

template <typename Shape>
__global__ void __launch_bounds__(Shape::kThreads, Shape::kCtas)
    forward_kernel(const __grid_constant__ SsdArguments args,
                   const __grid_constant__ Segments segments) {
  extern __shared__ __align__(1024) unsigned char memory[];
  ForwardCta<Shape>(args, segments, *reinterpret_cast<typename Shape::Memory*>(memory));
}

template <int kP, int kN, int kHeads, int kTiles>
DeviceAnswer launch(const SsdInputs& in, const SsdOutputs& out, const DeviceWork& work,
                    int64_t asked_segments) {
  using Shape = ForwardShape<kP, kN, kHeads, kTiles>;
  const SsdArguments args = ssd_arguments(in, out);
  const int64_t chunks = ceil_div(args.length, kChunk), ctas = args.batch * args.heads / kHeads;
  Segments segments{asked_segments > 0 ? equal_segments(chunks, asked_segments)
                                       : plan_segments(chunks, ctas, Shape::kCtas),
                    nullptr};
  if (segments.plan.segments > 1) {
    const SegmentStates states = segment_states(in, segments.plan, work);
    if (states.answer != nullptr) return states.answer;
    segments.entering = states.entering;
  }
  const auto kernel = forward_kernel<Shape>;
  if (const auto error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                              sizeof(typename Shape::Memory));
      error != cudaSuccess)
    return answer(error);
  kernel<<<static_cast<unsigned>(ctas * segments.plan.segments), Shape::kThreads,
           sizeof(typename Shape::Memory), stream_of(work)>>>(args, segments);
  return launched();
}

template <int kN>
DeviceAnswer launch_state(const SsdInputs& in, const SsdOutputs& out, const DeviceWork& work,
                          int64_t segments) {
  const int64_t head_dim = in.x.size[3], heads_a_group = in.x.size[2] / in.B.size[2];
  if (head_dim == 128) return launch<128, kN, 1, 2>(in, out, work, segments);
  if (head_dim == 64)
    return heads_a_group % 2 == 0 ? launch<64, kN, 2, 2>(in, out, work, segments)
                                  : launch<64, kN, 1, 2>(in, out, work, segments);
  return heads_a_group % 4 == 0 ? launch<32, kN, 4, 2>(in, out, work, segments)
                                : launch<32, kN, 1, 2>(in, out, work, segments);
}

/// A state's pairs of numbers can be loaded as one.
bool pairs_aligned(const View<4>& state) {
  return reinterpret_cast<uintptr_t>(state.data) % 8 == 0;
}

/// What the largest of the kernels above needs of a CTA, and a device of the consumer kind lacks.
bool enough_shared_memory() {
  return device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) >=
         static_cast<int>(std::max(sizeof(ForwardShape<64, 128, 2, 2>::Memory),
                                   sizeof(ForwardShape<32, 128, 4, 2>::Memory)));
}

}  // namespace

bool takes_mma(const SsdInputs& in, const SsdOutputs& out) {
  const int64_t head_dim = in.x.size[3], state = in.B.size[3];
  const bool types = in.x.dtype == DType::bf16 && in.B.dtype == DType::bf16 &&
                     in.C.dtype == DType::bf16 &&
                     (in.dt.dtype == DType::bf16 || in.dt.dtype == DType::f32);
  return types && (head_dim == 32 || head_dim == 64 || head_dim == 128) &&
         (state == 64 || state == 128) && rows_aligned(in.x, 16) && rows_aligned(in.B, 16) &&
         rows_aligned(in.C, 16) && in.dt_min >= 0 && in.x.size[1] <= INT32_MAX - kChunk &&
         pairs_aligned(in.initial_state) && pairs_aligned(out.final_state) &&
         enough_shared_memory();
}

DeviceAnswer ssd_forward_mma(const SsdInputs& in, const SsdOutputs& out, const DeviceWork& work,
                             int64_t segments) {
  return in.B.size[3] == 64 ? launch_state<64>(in, out, work, segments)
                            : launch_state<128>(in, out, work, segments);
}

}  // namespace adder::kernels::cuda
