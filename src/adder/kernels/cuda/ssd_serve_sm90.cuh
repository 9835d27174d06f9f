// The warps of the Hopper forward that serve the heads: bring the chunks in, compute
// M = lowertri(C B^T), and what the tokens are to each head.
#pragma once

#include "adder/kernels/cuda/ssd_chunk_sm90.cuh"
#include "adder/kernels/cuda/ssd_cta_sm90.cuh"

namespace adder::kernels::cuda {

/// Asks for a chunk; one thread.
template <int N, bool kGated>
__device__ __forceinline__ void bring_chunk(const Layout<N, kGated>& smem, const TensorMaps& maps,
                                            const CtaWork& work, int chunk, int stage) {
  const uint32_t full = smem.full(stage);
  const bool passed = chunk < work.passed;  // then without C and z
  const int matrices = passed ? 1 : 2, tiles = work.heads * (kGated && !passed ? 2 : 1);
  arrive_with_bytes(full, matrices * Layout<N, kGated>::kMatrix + tiles * kTileBytes);
  TilePlace at{0, work.group, (work.first_chunk + chunk) * kChunk, static_cast<int>(work.batch)};
#pragma unroll
  for (int n = 0; n < N / 64; ++n) {
    at.column = 64 * n;
    if (!passed) load_tile(smem.C(stage) + n * kTileBytes, maps.C, at, full);
    load_tile(smem.B(stage) + n * kTileBytes, maps.B, at, full);
  }
  at.column = 0;
#pragma unroll 1
  for (int i = 0; i < work.heads; ++i) {
    at.head = work.head + i;
    load_tile(smem.x(stage, i), maps.x, at, full);
    if constexpr (kGated)
      if (!passed) load_tile(smem.z(stage, i), maps.z, at, full);
  }
}

/// Copies out y of a chunk; one thread. `place`: of the chunks that have a y.
template <int N, bool kGated>
__device__ __forceinline__ void send_chunk(const Layout<N, kGated>& smem, const TensorMaps& maps,
                                           const CtaWork& work, int chunk, int place) {
  for (int i = 0; i < work.heads; ++i)
    store_tile(
        maps.y,
        {0, work.head + i, (work.first_chunk + chunk) * kChunk, static_cast<int>(work.batch)},
        smem.outputs(i) + place % 2 * kTileBytes);
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
    const int place = chunk - 1 - work.passed;
    if (place < 0) continue;
    send_chunk(smem, maps, work, chunk - 1, place);
    wait_stores_read();
    arrive(smem.sent() + place % 2 * 8);
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
    padding[i] = __ballot_sync(kAllLanes, ahead.id[i] < 0);
    begins[i] = __ballot_sync(kAllLanes, ahead.id[i] >= 0 && ahead.id[i] != ahead.id_before[i]);
  }
  return {begins[0] | uint64_t{begins[1]} << 32, padding[0] | uint64_t{padding[1]} << 32};
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
    Documents documents = args.seq_idx == nullptr ? Documents{0, 0} : documents_of(current);
    const int64_t rows = args.length - first - int64_t{chunk} * kChunk;
    if (rows < kChunk) documents.padding |= ~uint64_t{0} << rows;
    const LaneVectors vectors =
        find_vectors(chunk_tokens(args.sizes, current.dt, steps_of(item), documents), documents);
    wait_phase(smem.done(stage), chunk / kStages % 2 ^ 1);
    store_vectors(smem.tokens(stage, two ? item % 2 : 0), vectors, documents);
    arrive(smem.weighed(stage));
  }
}

/// M of a head, of m = C B^T: 0 where s > l; by pairs times Delta_s 2^(c_l - c_s). What stands
/// there without need is cut out of the bits, so that no branch holds up the rest.
template <bool kByPairs>
__device__ __forceinline__ void write_scores(const Accumulator<64>& m, Tile<64> scores,
                                             const ChunkVectors& tokens, int warp) {
  const int lane = threadIdx.x & 31, g = lane / 4, t = lane % 4;
  const uint32_t lower = (2 * t <= g ? 0xffffu : 0) | (2 * t + 1 <= g ? 0xffff0000u : 0);
  float c[2];  // of rows g and g + 8
  float2 source[8];
  if constexpr (kByPairs) {
#pragma unroll
    for (int i = 0; i < 2; ++i) c[i] = tokens.c[16 * warp + g + 8 * i];
#pragma unroll
    for (int i = 0; i < 8; ++i) source[i] = columns_of(tokens.source, i);
  }
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    uint32_t packed[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float2 pair{m[8 * k + 2 * i], m[8 * k + 2 * i + 1]};
      if constexpr (kByPairs) {
        const float2 from = source[2 * k + i / 2];
        pair.x *= ex2(c[i % 2] - from.x), pair.y *= ex2(c[i % 2] - from.y);
      }
      packed[i] = pack_bf16(pair.x, pair.y);
    }
    const uint32_t left = k < warp ? ~uint32_t{0} : 0, on = k == warp ? ~uint32_t{0} : 0;
    packed[0] &= left | (on & lower), packed[1] &= left | on;
    packed[2] &= left, packed[3] &= left | (on & lower);
    store_matrices(scores.cell(16 * warp + (lane & 15), 2 * k + (lane >> 4)), packed);
  }
}
__device__ __forceinline__ void write_scores(const Accumulator<64>& m, uint32_t scores,
                                             const ChunkVectors& tokens, int warp) {
  if (tokens.by_pairs)
    write_scores<true>(m, Tile<64>{scores}, tokens, warp);
  else
    write_scores<false>(m, Tile<64>{scores}, tokens, warp);
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

/// A warpgroup: C B^T of a chunk.
template <int N>
__device__ __forceinline__ void multiply_keys(Accumulator<64>& m, Operand C, Operand B) {
  wgmma_fence();
#pragma unroll
  for (int k = 0; k < N / 16; ++k) {
    const int offset = k / 4 * kTileBytes + k % 4 * 32;
    wgmma(m, C.at(offset), B.at(offset), k > 0);
  }
  wgmma_commit();
  wgmma_wait<0>();
  pin(m);
}

/// A warpgroup: M of all chunks.
template <int N, bool kGated>
__device__ __forceinline__ void score_chunks(const Layout<N, kGated>& smem, const CtaWork& work,
                                             bool documents) {
  constexpr int kStages = Layout<N, kGated>::kStages;
  const int warp = threadIdx.x / 32 % 4;
  Turn<kStages> turn;
#pragma unroll 1
  for (int chunk = 0; chunk < work.chunks; ++chunk, turn.next()) {
    const int stage = turn.stage;
    const ChunkVectors& tokens = smem.tokens(stage, 0);
    wait_phase(smem.full(stage), turn.parity);
    if (documents) {
      wait_phase(smem.weighed(stage), turn.parity);
      if (tokens.documents.padding != 0) clear_chunk(smem, work, stage, tokens.documents.padding);
    }
    Accumulator<64> m;
    if (chunk >= work.passed)
      multiply_keys<N>(m, rows_operand(smem.C(stage)), rows_operand(smem.B(stage)));
    wait_phase(smem.weighed(stage), turn.parity);
    if (chunk >= work.passed) {
      write_scores(m, smem.scores(stage), tokens, warp);
      if (work.heads == 2 && !smem.scores_shared(stage)) {
        const int before = chunk - 2;  // its M is to be done with
        if (before >= 0) wait_phase(smem.done(before % kStages), before / kStages % 2);
        write_scores(m, smem.own_scores(chunk), smem.tokens(stage, 1), warp);
      }
      async_fence();
    }
    arrive(smem.ready(stage));
  }
}

}  // namespace adder::kernels::cuda
