// tile_kernel for Hopper and heads of 64 channels: the gradients of one chunk from S before it and
// G after it. A block takes a chunk and heads of one group. Its four teams, a warpgroup each, go
// through a ring of heads at their own pace: two take the pairs of tokens of every other head
// (ssd_backward_scores_sm90.cuh), one takes dB and one dC of all (ssd_backward_keys_sm90.cuh),
// whose sums over the heads stay in registers.
#include "adder/kernels/cuda/ssd_backward_keys_sm90.cuh"
#include "adder/kernels/cuda/ssd_backward_loads_sm90.cuh"
#include "adder/kernels/cuda/ssd_backward_scores_sm90.cuh"

namespace adder::kernels::cuda {
namespace {

/// Of a thread; a multiprocessor has 65536.
constexpr int kScoreRegisters = 136, kKeyRegisters = 120;

/// What does not change from head to head.
template <int N>
__device__ __forceinline__ void prepare(const TileOf& tile, TileMemorySm90<N>& memory) {
  const int thread = threadIdx.x;
  if (thread == 0) memory.start_barriers();
  if (thread < kChunk) memory.begin[thread] = document_start(tile.documents.begins, thread);
  for (int i = thread; i < memory.kTokenSlots * kHeadDim; i += kTileThreads) memory.skip[0][i] = 0;
  __syncthreads();
}

template <int N>
__device__ __forceinline__ void run_score_teams(const Tiles& all, const TileOf& tile, int which,
                                                TileMemorySm90<N>& memory) {
  ScoreTeamSm90<N> team(memory, tile);
  if (which == 0) {
    memory.wait_keys();
    team.make_scores();
  }
  meet<2 * kTeam>();
#pragma unroll 1
  for (int i = which; i < tile.heads; i += 2) {
    memory.wait_tokens(memory.tokens_full, i);
    async_fence();  // threads copied x and dy
    memory.wait_states(memory.states_full, i);
    team.head(i, all);
  }
  meet<2 * kTeam>();
  static_assert(sizeof(memory.scores) >= AlignedTile<kChunk>::bytes(kChunk) &&
                sizeof(memory.tokens) >= kChunk * kChunk * sizeof(float));
  team.write_Z({shared_address(memory.scores)}, reinterpret_cast<float4*>(memory.tokens));
  meet<kTileThreads>(2);
}

/// dB; and brings in the tokens: those of head i + 1 take the place of head i - 3, kTokenSlots
/// before it, which is free when tokens_done says so.
template <int N>
__device__ __forceinline__ void run_B_team(const Tiles& all, const TileOf& tile, int thread,
                                           TileMemorySm90<N>& memory) {
  const HeadLoaderSm90<N> loader(all, tile, memory, thread);
  loader.load_keys(memory.B, all.B);
  for (int i = 0; i < memory.kTokenSlots; ++i) loader.load_tokens(i);
  memory.wait_keys();
  KeyTeamSm90<N, false> team(memory, tile);
#pragma unroll 1
  for (int i = 0; i < tile.heads; ++i) {
    if (i >= memory.kTokenSlots - 1) {
      memory.wait_tokens(memory.tokens_done, i - (memory.kTokenSlots - 1));
      loader.load_tokens(i + 1);
    }
    memory.wait_tokens(memory.tokens_full, i);
    const auto& in = memory.tokens[i % memory.kTokenSlots];
    if (all.channels > 1 && thread < kHeadDim)
      sum_channels<kHeadDim>(all, tile, {shared_address(in.x)}, {shared_address(in.dy)},
                             tile.head0 + i, thread);
    memory.wait_states(memory.states_full, i);
    team.head(i);
  }
  meet<kTileThreads>(2);
  team.add_scores({shared_address(memory.scores)});
  team.write(all);
}

/// dC; and brings in the states.
template <int N>
__device__ __forceinline__ void run_C_team(const Tiles& all, const TileOf& tile, int thread,
                                           TileMemorySm90<N>& memory) {
  const HeadLoaderSm90<N> loader(all, tile, memory, thread);
  loader.load_keys(memory.C, all.C);
  for (int i = 0; i < memory.kStateSlots; ++i) loader.load_states(i);
  memory.wait_keys();
  KeyTeamSm90<N, true> team(memory, tile);
#pragma unroll 1
  for (int i = 0; i < tile.heads; ++i) {
    if (i > 0) {
      memory.wait_states(memory.states_done, i - 1);
      loader.load_states(i - 1 + memory.kStateSlots);
    }
    memory.wait_tokens(memory.tokens_full, i);
    memory.wait_states(memory.states_full, i);
    team.head(i);
  }
  meet<kTileThreads>(2);
  team.add_scores({shared_address(memory.scores)});
  team.write(all);
}

template <int N>
__global__ void __launch_bounds__(kTileThreads, 1) tile_sm90_kernel(Tiles all) {
  if constexpr (kHasWgmma) {
    extern __shared__ __align__(1024) unsigned char bytes[];
    TileMemorySm90<N>& memory = *reinterpret_cast<TileMemorySm90<N>*>(bytes);
    const TileOf tile(all);
    prepare(tile, memory);
    const int team = __shfl_sync(kAllLanes, static_cast<int>(threadIdx.x / kTeam), 0);
    if (team < 2) {
      take_registers<kScoreRegisters>();
      run_score_teams(all, tile, team, memory);
    } else {
      give_registers<kKeyRegisters>();
      if (team == 2)
        run_B_team(all, tile, static_cast<int>(threadIdx.x % kTeam), memory);
      else
        run_C_team(all, tile, static_cast<int>(threadIdx.x % kTeam), memory);
    }
  }
}

template <int N>
DeviceAnswer launch(const Tiles& all, int blocks, cudaStream_t stream) {
  constexpr int kBytes = sizeof(TileMemorySm90<N>), kMost = 227 * 1024;
  static_assert(kBytes <= kMost);
  if (const auto error = answer(cudaFuncSetAttribute(
          tile_sm90_kernel<N>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes)))
    return error;
  const dim3 grid(all.sizes.chunks, all.sizes.batch, all.sizes.groups * blocks);
  tile_sm90_kernel<N><<<grid, kTileThreads, kBytes, stream>>>(all);
  return launched();
}

}  // namespace

DeviceAnswer launch_tiles_sm90(const Tiles& all, int states, int blocks, cudaStream_t stream) {
  return states == 64 ? launch<64>(all, blocks, stream) : launch<128>(all, blocks, stream);
}

}  // namespace adder::kernels::cuda
