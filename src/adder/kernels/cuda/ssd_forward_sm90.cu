// The SSD forward on Hopper. A CTA takes two heads of one group through a segment of the sequence:
// a warpgroup for each head keeps its state in registers from the first chunk to the last
// (ssd_chunk_sm90.cuh); two more serve them (ssd_serve_sm90.cuh).
#include "adder/kernels/cuda/ssd_chunk_sm90.cuh"
#include "adder/kernels/cuda/ssd_kernels.h"
#include "adder/kernels/cuda/ssd_segments.h"
#include "adder/kernels/cuda/ssd_serve_sm90.cuh"

namespace adder::kernels::cuda {

namespace {

constexpr int kThreadsSm90 = 128 * (kHeadsACta + 2);

/// A chunk; what is due on the state before it comes in and goes out in `leave`.
template <int N, bool kGated>
__device__ __forceinline__ void walk_chunk(Accumulator<N>& s, float& leave, const ChunkTiles& tiles,
                                           const ChunkVectors& tokens, HeadOutput& out,
                                           bool passed) {
  const float due = take_due<N>(s, leave, tokens.scale_in);
  if (passed)
    pass_chunk<N>(s, due, tiles, tokens, out.warp);
  else if (tokens.by_pairs)
    take_chunk<N, true, kGated>(s, due, tiles, tokens, out);
  else
    take_chunk<N, false, kGated>(s, due, tiles, tokens, out);
  leave = tokens.scale_out;
}

/// The state that enters the segment of a head; nullptr: zeros.
[[maybe_unused]] __device__ __forceinline__ const float* entering_state(const Sm90Arguments& args,
                                                                        const CtaWork& work,
                                                                        int64_t place) {
  if (work.segment == 0)
    return args.ssd.initial_state == nullptr ? nullptr : args.ssd.initial_state + place;
  return args.entering + (work.segment - 1) * args.a_segment + place;
}

/// The warpgroup of head number `mine` of the CTA.
template <int N, bool kGated>
__device__ __forceinline__ void walk(const Layout<N, kGated>& smem, const Sm90Arguments& args,
                                     const CtaWork& work, int mine) {
  const SsdArguments& ssd = args.ssd;
  const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x & 31, head = work.head + mine;
  const int64_t place = (work.batch * ssd.heads + head) * 64 * N;
  HeadOutput out{smem.outputs(mine), smem.sent(), {}, warp, {}, -1};
  for (int i = 0; i < 2 && ssd.D != nullptr; ++i)
    out.skip[i] =
        ssd.D[head * ssd.D_head_stride + (16 * warp + lane / 4 + 8 * i) * ssd.D_channel_stride];
  Accumulator<N> s;
  load_state<N>(s, entering_state(args, work, place), warp);
  float leave = 1.f;
  Turn<Layout<N, kGated>::kStages> turn;
#pragma unroll 1
  for (int chunk = 0; chunk < work.chunks; ++chunk, turn.next()) {
    const int stage = turn.stage;
    wait_phase(smem.ready(stage), turn.parity);
    const bool shared = smem.scores_shared(stage) | (mine == 0);
    const ChunkTiles tiles{smem.C(stage),
                           smem.B(stage),
                           {smem.x(stage, mine)},
                           {smem.z(stage, mine)},
                           shared ? smem.scores(stage) : smem.own_scores(chunk)};
    walk_chunk<N, kGated>(s, leave, tiles, smem.tokens(stage, mine), out, chunk < work.passed);
    arrive(smem.done(stage));
  }
  send_output(out);
  // One more turn, behind the last chunk, says so; the stage's last chunk must be done by both.
  wait_phase(smem.done(turn.stage), turn.parity ^ 1);
  arrive(smem.done(turn.stage));
  const bool last = int64_t{work.first_chunk + work.chunks} * kChunk >= ssd.length;
  if (ssd.final_state != nullptr && last) store_state<N>(s, leave, ssd.final_state + place, warp);
}

template <int N, bool kGated>
__device__ __forceinline__ void forward_cta(const TensorMaps& maps, const Sm90Arguments& args) {
  extern __shared__ __align__(1024) char shared_sm90[];
  const Layout<N, kGated> smem{shared_address(shared_sm90), shared_sm90};
  const CtaWork work = cta_work(args.ssd, args.cut);
  if (threadIdx.x == 0) smem.start_barriers(work.heads);
  __syncthreads();
  const int warp = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x) / 32, 0);
  if (warp < 4 * kHeadsACta) {  // registers of all four warpgroups: 512 in all
    take_registers<200>();
    if (warp / 4 < work.heads) walk<N, kGated>(smem, args, work, warp / 4);
  } else if (warp < 4 * kHeadsACta + 4) {
    give_registers<72>();
    score_chunks<N, kGated>(smem, work, args.ssd.seq_idx != nullptr);
  } else {
    give_registers<40>();
    const int server = warp - 4 * kHeadsACta - 4;
    if (server < Layout<N, kGated>::kWeighers)
      weigh_chunks<N, kGated>(smem, args.ssd, work, server);
    else if (server == 3 && threadIdx.x % 32 == 0)
      copy_chunks<N, kGated>(smem, maps, work);
  }
}

template <int N, bool kGated>
__global__ void __launch_bounds__(kThreadsSm90, 1)
    ssd_forward_sm90_kernel(const __grid_constant__ TensorMaps maps,
                            const __grid_constant__ Sm90Arguments args) {
  if constexpr (kHasWgmma)
    forward_cta<N, kGated>(maps, args);
  else
    __trap();  // the library was built without 90a
}

template <int N, bool kGated>
DeviceAnswer launch(const TensorMaps& maps, const Sm90Arguments& args, const DeviceWork& work) {
  constexpr int kBytes = Layout<N, kGated>::kBytes;
  const auto kernel = ssd_forward_sm90_kernel<N, kGated>;
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (error != cudaSuccess) return answer(error);
  kernel<<<cta_grid(args.ssd, args.cut.segments), kThreadsSm90, kBytes, stream_of(work)>>>(maps,
                                                                                           args);
  return launched();
}

DeviceAnswer launch_gated(const TensorMaps& maps, const Sm90Arguments& args, int64_t state,
                          const DeviceWork& work) {
  const bool gated = args.ssd.z.data != nullptr;
  if (state == 64)
    return gated ? launch<64, true>(maps, args, work) : launch<64, false>(maps, args, work);
  return gated ? launch<128, true>(maps, args, work) : launch<128, false>(maps, args, work);
}

/// Whether the copy engine takes the array.
bool takes_tiles(const View<4>& view) {
  for (int d = 0; d < 3; ++d)
    if (view.size[d] > INT32_MAX || view.stride[d] < 0 || view.stride[d] >= int64_t{1} << 38)
      return false;
  return view.dtype == DType::bf16 && rows_aligned(view, 16);
}

bool aligned_states(const View<4>& states) {
  return reinterpret_cast<uintptr_t>(states.data) % 8 == 0;
}

DeviceAnswer encode_all(TensorMaps& maps, const SsdInputs& in, const SsdOutputs& out) {
  for (const auto& [map, view] :
       {std::pair(&maps.x, &in.x), std::pair(&maps.B, &in.B), std::pair(&maps.C, &in.C),
        std::pair(&maps.z, &in.z), std::pair(&maps.y, &out.y)}) {
    if (!view->given()) continue;
    if (const DeviceAnswer wrong = encode_tiles(*map, *view)) return wrong;
  }
  return nullptr;
}

}  // namespace

bool takes_sm90(const SsdInputs& in) {
  const int64_t state = in.B.size[3];
  return in.x.size[3] == 64 && (state == 64 || state == 128) && takes_tiles(in.x) &&
         takes_tiles(in.B) && takes_tiles(in.C) && (!in.z.given() || takes_tiles(in.z)) &&
         (in.dt.dtype == DType::bf16 || in.dt.dtype == DType::f32) && in.dt_min >= 0 &&
         in.x.size[0] <= 65535 && aligned_states(in.initial_state) && is_hopper();
}
bool takes_sm90(const SsdInputs& in, const SsdOutputs& out) {
  return takes_sm90(in) && takes_tiles(out.y) && aligned_states(out.final_state);
}

DeviceAnswer ssd_forward_sm90(const SsdInputs& in, const SsdOutputs& out, const DeviceWork& work,
                              int64_t segments, int64_t prefix) {
  Sm90Arguments args{ssd_arguments(in, out), {}, nullptr, 0};
  args.a_segment = args.ssd.batch * args.ssd.heads * 64 * in.B.size[3];
  const int64_t chunks = ceil_div(args.ssd.length, kChunk);
  const int64_t ctas = args.ssd.batch * in.B.size[2] * ceil_div(args.ssd.heads_a_group, kHeadsACta);
  args.cut =
      segments > 0 || prefix > 0 ? cut_sequence(chunks, segments, prefix) : plan_sm90(chunks, ctas);
  if (args.cut.segments > 1 && args.cut.prefix == 0) {
    const SegmentStates states = segment_states(in, {args.cut.segments, args.cut.chunks}, work);
    if (states.answer != nullptr) return states.answer;
    args.entering = states.entering;
  }
  TensorMaps maps{};
  if (const DeviceAnswer wrong = encode_all(maps, in, out)) return wrong;
  return launch_gated(maps, args, in.B.size[3], work);
}

}  // namespace adder::kernels::cuda
