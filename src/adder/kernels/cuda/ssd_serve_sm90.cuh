// The warps of the Hopper forward that serve the heads: bring the chunks in, compute
// M = lowertri(C B^T), and what the tokens are to each head.
#pragma once

#include "adder/kernels/cuda/ssd_chunk_sm90.cuh"
#include "adder/kernels/cuda/ssd_cta_sm90.cuh"

namespace adder::kernels::cuda {

/// The most that the decay of a part may be, in powers of two: e^120.
inline constexpr float kMostFactored = 120 * 1.4426950408889634f;

/// Asks for a chunk; one thread.
template <int N, bool kGated>
__device__ __forceinline__ void bring_chunk(const Layout<N, kGated>& smem, const TensorMaps& maps,
                                            const CtaWork& work, int chunk, int stage) {
  const uint32_t full = smem.full(stage);
  const int heads_tiles = work.heads * (kGated ? 2 : 1);
  arrive_with_bytes(full, 2 * Layout<N, kGated>::kMatrix + heads_tiles * kTileBytes);
  TilePlace at{0, work.group, (work.first_chunk + chunk) * kChunk, static_cast<int>(work.batch)};
#pragma unroll
  for (int n = 0; n < N / 64; ++n) {
    at.column = 64 * n;
    load_tile(smem.C(stage) + n * kTileBytes, maps.C, at, full);
    load_tile(smem.B(stage) + n * kTileBytes, maps.B, at, full);
  }
  at.column = 0;
#pragma unroll 1
  for (int i = 0; i < work.heads; ++i) {
    at.head = work.head + i;
    load_tile(smem.x(stage, i), maps.x, at, full);
    if constexpr (kGated) load_tile(smem.z(stage, i), maps.z, at, full);
  }
}

/// Copies out y of a chunk; one thread.
template <int N, bool kGated>
__device__ __forceinline__ void send_chunk(const Layout<N, kGated>& smem, const TensorMaps& maps,
                                           const CtaWork& work, int chunk) {
  for (int i = 0; i < work.heads; ++i)
    store_tile(
        maps.y,
        {0, work.head + i, (work.first_chunk + chunk) * kChunk, static_cast<int>(work.batch)},
        smem.outputs(i) + chunk % 2 * kTileBytes);
  commit_stores();
}

/// One thread: brings each chunk in when its stage is free, and copies y out when the chunk behind
/// it is done (the heads write it meanwhile).
template <int N, bool kGated>
__device__ __forceinline__ void copy_chunks(const Layout<N, kGated>& smem, const TensorMaps& maps,
                                            const CtaWork& work) {
  constexpr int kStages = Layout<N, kGated>::kStages;
  for (int chunk = 0; chunk < min(kStages, work.chunks); ++chunk)
    bring_chunk(smem, maps, work, chunk, chunk);
  Turn<kStages> turn;
#pragma unroll 1
  for (int chunk = 0; chunk <= work.chunks; ++chunk, turn.next()) {
    wait_phase(smem.done(turn.stage), turn.parity);
    if (chunk + kStages < work.chunks) bring_chunk(smem, maps, work, chunk + kStages, turn.stage);
    if (chunk == 0) continue;
    send_chunk(smem, maps, work, chunk - 1);
    wait_stores_read();
    arrive(smem.sent() + (chunk - 1) % 2 * 8);
  }
}

/// What is read of the tokens of a chunk before it is needed, as it stands in memory.
struct TokensAhead {
  RawPair dt;
  int32_t id[2], id_before[2];  // of tokens lane and lane + 32, and of those before them
};
__device__ __forceinline__ TokensAhead read_tokens(const SsdArguments& args, const CtaWork& work,
                                                   const HeadSteps& steps, int chunk) {
  TokensAhead ahead{};
  const int64_t first = int64_t{work.first_chunk + chunk} * kChunk;
  ahead.dt = raw_pair(args.sizes, steps.dt + chunk * kChunk * args.sizes.token_stride,
                      args.length - first);
  if (args.seq_idx == nullptr) return ahead;
  const int32_t* ids = args.seq_idx + work.batch * args.seq_idx_batch_stride;
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    const int64_t token = first + threadIdx.x % 32 + 32 * i;
    if (token >= args.length) continue;
    ahead.id[i] = ids[token * args.seq_idx_stride];
    ahead.id_before[i] = token > 0 ? ids[(token - 1) * args.seq_idx_stride] : ahead.id[i];
  }
  return ahead;
}

/// chunk_documents() of what was read; all one document and no padding where there are no ids.
__device__ __forceinline__ Documents documents_of(const TokensAhead& ahead) {
  uint32_t begins[2], padding[2];
#pragma unroll
  for (int i = 0; i < 2; ++i) {
    padding[i] = __ballot_sync(kWarp, ahead.id[i] < 0);
    begins[i] = __ballot_sync(kWarp, ahead.id[i] >= 0 && ahead.id[i] != ahead.id_before[i]);
  }
  return {begins[0] | uint64_t{begins[1]} << 32, padding[0] | uint64_t{padding[1]} << 32};
}

/// In how large parts a chunk can be factored, of c at the ends of its halves.
__device__ __forceinline__ ChunkKind kind_of(float c0, float c31, float c32, float c63) {
  if (c0 - c63 <= kMostFactored) return ChunkKind::kWhole;
  const bool halves = c0 - c31 <= kMostFactored && c32 - c63 <= kMostFactored;
  return halves ? ChunkKind::kHalves : ChunkKind::kDirect;
}

/// A warp: what the tokens are to a head; `rows` of them are before the end.
__device__ __forceinline__ void write_tokens(HeadTokens& tokens, const TokensAhead& ahead,
                                             const SsdArguments& args, const HeadSteps& steps,
                                             int64_t rows) {
  const int lane = threadIdx.x & 31;
  const Documents documents = args.seq_idx == nullptr ? Documents{0, 0} : documents_of(ahead);
  const uint64_t absent = rows < kChunk ? ~uint64_t{0} << rows : 0;
  const TokenPair pair = chunk_tokens(args.sizes, ahead.dt, steps, documents.padding | absent);
  const float c0 = __shfl_sync(kWarp, pair.c[0], 0), c31 = __shfl_sync(kWarp, pair.c[1], 15);
  const float c32 = __shfl_sync(kWarp, pair.c[0], 16), c63 = __shfl_sync(kWarp, pair.c[1], 31);
  const ChunkKind kind = documents.begins != 0 || documents.padding != 0
                             ? ChunkKind::kDirect
                             : kind_of(c0, c31, c32, c63);
  float2 weight{pair.delta[0], pair.delta[1]}, decay{pair.c[0], pair.c[1]};
  float enter = 1.f, leave = 1.f;
  if (kind != ChunkKind::kDirect) {
    const bool halves = kind == ChunkKind::kHalves, second = halves && lane >= 16;
    const float before = second ? c31 : 0.f, last = halves && !second ? c31 : c63;
    const float middle = 0.5f * ((second ? c32 : c0) + last) - before;
    decay.x -= before + middle, decay.y -= before + middle;
    weight = in_two_parts(weight.x * ex2(-decay.x), weight.y * ex2(-decay.y));
    decay.x = ex2(decay.x), decay.y = ex2(decay.y);
    enter = ex2(middle), leave = ex2(last - before - middle);
  }
  reinterpret_cast<float2*>(tokens.weight)[lane] = weight;
  reinterpret_cast<float2*>(tokens.decay)[lane] = decay;
  if (lane % 16 == 0) tokens.enter[lane / 16] = enter, tokens.leave[lane / 16] = leave;
  if (lane == 0) tokens.documents = documents, tokens.kind = kind;
}

/// A warp of kWeighers: the tokens of chunks, of each head in turn.
template <int N, bool kGated>
__device__ __forceinline__ void weigh_chunks(const Layout<N, kGated>& smem,
                                             const SsdArguments& args, const CtaWork& work,
                                             int item) {
  constexpr int kStages = Layout<N, kGated>::kStages, kWeighers = Layout<N, kGated>::kWeighers;
  const int64_t first = int64_t{work.first_chunk} * kChunk;
  const bool two = work.heads == 2;
  const HeadSteps one = head_steps(args.sizes, work.batch, first, work.head);
  const HeadSteps other = head_steps(args.sizes, work.batch, first, work.head + int{two});
  const auto chunk_of = [=](int item) { return two ? item / 2 : item; };
  const auto steps_of = [=](int item) { return two && item % 2 ? other : one; };
  TokensAhead ahead{};
  if (chunk_of(item) < work.chunks) ahead = read_tokens(args, work, steps_of(item), chunk_of(item));
#pragma unroll 1
  for (; chunk_of(item) < work.chunks; item += kWeighers) {
    const TokensAhead current = ahead;
    const int chunk = chunk_of(item), next = item + kWeighers, stage = chunk % kStages;
    if (chunk_of(next) < work.chunks)
      ahead = read_tokens(args, work, steps_of(next), chunk_of(next));
    wait_phase(smem.done(stage), chunk / kStages % 2 ^ 1);
    write_tokens(smem.tokens(stage, two ? item % 2 : 0), current, args, steps_of(item),
                 args.length - first - int64_t{chunk} * kChunk);
    __syncwarp();
    if ((threadIdx.x & 31) == 0) arrive(smem.ready(stage));
  }
}

/// C B^T, 0 where s > l, as the scores of a chunk.
__device__ __forceinline__ void write_scores(const Accumulator<64>& m, Tile<64> scores, int warp) {
  const int lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    uint32_t packed[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int l = 16 * warp + lane / 4 + i % 2 * 8, s = 16 * k + lane % 4 * 2 + i / 2 * 8;
      const float* pair = m + 8 * k + 2 * i;
      packed[i] = pack_bf16(s <= l ? pair[0] : 0.f, s + 1 <= l ? pair[1] : 0.f);
    }
    store_matrices(scores.cell(16 * warp + (lane & 15), 2 * k + (lane >> 4)), packed);
  }
}

/// A warpgroup: zeros for B and x at padding. (Rows of C and z there reach only the y of padding.)
template <int N, bool kGated>
__device__ __forceinline__ void clear_chunk(const Layout<N, kGated>& smem, const CtaWork& work,
                                            int stage, uint64_t padding) {
#pragma unroll 1
  for (int n = 0; n < N / 64; ++n) clear_padding<128>(smem.B(stage) + n * kTileBytes, padding);
#pragma unroll 1
  for (int i = 0; i < work.heads; ++i) clear_padding<128>(smem.x(stage, i), padding);
  async_fence();
  warpgroup_barrier(1 + kHeadsACta);
}

/// A warpgroup: M of all chunks.
template <int N, bool kGated>
__device__ __forceinline__ void score_chunks(const Layout<N, kGated>& smem,
                                             const SsdArguments& args, const CtaWork& work) {
  const int warp = threadIdx.x / 32 % 4;
  Turn<Layout<N, kGated>::kStages> turn;
#pragma unroll 1
  for (int chunk = 0; chunk < work.chunks; ++chunk, turn.next()) {
    const int64_t first = int64_t{work.first_chunk + chunk} * kChunk;
    const uint64_t padding =
        args.seq_idx == nullptr ? 0 : documents_of(args, work.batch, first).padding;
    wait_phase(smem.full(turn.stage), turn.parity);
    if (padding != 0) clear_chunk(smem, work, turn.stage, padding);
    const Operand C = rows_operand(smem.C(turn.stage)), B = rows_operand(smem.B(turn.stage));
    Accumulator<64> m;
    wgmma_fence();
#pragma unroll
    for (int k = 0; k < N / 16; ++k) {
      const int offset = k / 4 * kTileBytes + k % 4 * 32;
      wgmma(m, C.at(offset), B.at(offset), k > 0);
    }
    wgmma_commit();
    wgmma_wait<0>();
    pin(m);
    write_scores(m, Tile<64>{smem.scores(turn.stage)}, warp);
    async_fence();
    __syncwarp();
    if ((threadIdx.x & 31) == 0) arrive(smem.ready(turn.stage));
  }
}

}  // namespace adder::kernels::cuda
