// tile_kernel for Hopper and heads of 64 channels: the gradients of one chunk from S before it and
// G after it. A block takes tiles, each a chunk and heads of one group. Its four teams, a warpgroup
// each, go through a ring of heads at their own pace: two take the pairs of tokens of every other
// head (ssd_backward_scores_sm90.cuh), one takes dB and one dC of all
// (ssd_backward_keys_sm90.cuh), whose sums over the heads of a tile stay in registers. The heads of
// the next tile come in while the last of a tile are in work.
#include "adder/kernels/cuda/ssd_backward_keys_sm90.cuh"
#include "adder/kernels/cuda/ssd_backward_loads_sm90.cuh"
#include "adder/kernels/cuda/ssd_backward_scores_sm90.cuh"

namespace adder::kernels::cuda {
namespace {

/// Of a thread; a multiprocessor has 65536.
constexpr int kScoreRegisters = 144, kKeyRegisters = 112;

/// Calls run(tile, its number in the block, the number of its first head) for each tile of the
/// block.
template <typename Run>
__device__ __forceinline__ void for_tiles(const Tiles& all, Run run) {
  int count = 0, heads = 0;
#pragma unroll 1
  for (int number = blockIdx.x; number < tile_count(all); number += gridDim.x, ++count) {
    const TileOf tile(all, number);
    run(tile, count, heads);
    heads += tile.heads;
  }
}

template <int N>
__device__ __forceinline__ void run_score_teams(const Tiles& all, int which,
                                                TileMemorySm90<N>& memory) {
  static_assert(sizeof(memory.scores) >= sizeof(memory.Z));
  for_tiles(all, [&](const TileOf& tile, int count, int first) {
    ScoreTeamSm90<N> team(memory, tile);
    if (which == 0) {
      memory.wait_keys(count);
      team.make_scores();
    }
    meet<2 * kTeam>();
#pragma unroll 1
    for (int i = first + (first + which) % 2; i < first + tile.heads; i += 2) {
      memory.wait_tokens(memory.tokens_full, i);
      async_fence();  // threads copied x and dy
      memory.wait_states(memory.states_full, i);
      team.head(i, tile.head0 + i - first, all);
    }
    meet<2 * kTeam>();  // the scores are done with
    team.write_Z({which == 0 ? shared_address(memory.scores) : shared_address(memory.Z)});
    meet<kTileThreads>(2);
  });
}

/// dB; and brings in the tokens, one head ahead of its own.
template <int N>
__device__ __forceinline__ void run_B_team(const Tiles& all, TileMemorySm90<N>& memory) {
  HeadLoader<N> loader(all, memory);
  for_tiles(all, [&](const TileOf& tile, int count, int first) {
    if (count > 0) meet<2 * kTeam>(3);  // B, C and Z are done with
    loader.load_keys(tile, memory.B, all.B);
    loader.load_tokens(first + memory.kTokenSlots);
    memory.wait_keys(count);
    KeyTeamSm90<N, false> team(memory, tile);
#pragma unroll 1
    for (int i = first; i < first + tile.heads; ++i) {
      loader.load_tokens(i + 2);
      memory.wait_tokens(memory.tokens_full, i);
      const auto& in = memory.tokens[i % memory.kTokenSlots];
      if (all.channels > 1 && threadIdx.x % kTeam < kHeadDim)
        sum_channels<kHeadDim>(all, tile, {shared_address(in.x)}, {shared_address(in.dy)},
                               tile.head0 + i - first, static_cast<int>(threadIdx.x % kTeam));
      memory.wait_states(memory.states_full, i);
      team.head(i);
    }
    meet<kTileThreads>(2);
    team.add_scores();
    team.write(all);
  });
}

/// dC; and brings in the states, two heads ahead of its own.
template <int N>
__device__ __forceinline__ void run_C_team(const Tiles& all, TileMemorySm90<N>& memory) {
  HeadLoader<N> loader(all, memory);
  for_tiles(all, [&](const TileOf& tile, int count, int first) {
    if (count > 0) meet<2 * kTeam>(3);
    loader.load_keys(tile, memory.C, all.C);
    loader.load_states(first + memory.kStateSlots);
    memory.wait_keys(count);
    KeyTeamSm90<N, true> team(memory, tile);
#pragma unroll 1
    for (int i = first; i < first + tile.heads; ++i) {
      loader.load_states(i + memory.kStateSlots);
      memory.wait_tokens(memory.tokens_full, i);
      memory.wait_states(memory.states_full, i);
      team.head(i);
    }
    meet<kTileThreads>(2);
    team.add_scores();
    team.write(all);
  });
}

template <int N>
__global__ void __launch_bounds__(kTileThreads, 1) tile_sm90_kernel(Tiles all) {
  if constexpr (kHasWgmma) {
    extern __shared__ __align__(1024) unsigned char bytes[];
    TileMemorySm90<N>& memory = *reinterpret_cast<TileMemorySm90<N>*>(bytes);
    if (threadIdx.x == 0) memory.start_barriers();
    for (int i = threadIdx.x; i < memory.kTokenSlots * kHeadDim; i += kTileThreads)
      memory.skip[0][i] = 0;
    __syncthreads();
    const int team = __shfl_sync(kWarp, static_cast<int>(threadIdx.x / kTeam), 0);
    if (team < 2) {
      take_registers<kScoreRegisters>();
      run_score_teams(all, team, memory);
    } else {
      give_registers<kKeyRegisters>();
      if (team == 2)
        run_B_team(all, memory);
      else
        run_C_team(all, memory);
    }
  }
}

template <int N>
DeviceAnswer launch(const Tiles& all, cudaStream_t stream) {
  constexpr int kBytes = sizeof(TileMemorySm90<N>), kMost = 227 * 1024;
  static_assert(kBytes <= kMost);
  if (const auto error = answer(cudaFuncSetAttribute(
          tile_sm90_kernel<N>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes)))
    return error;
  int device = 0, multiprocessors = 0;
  if (const auto error = answer(cudaGetDevice(&device))) return error;
  if (const auto error =
          answer(cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device)))
    return error;
  const int grid = std::min(tile_count(all), multiprocessors);  // each has room for one block
  tile_sm90_kernel<N><<<grid, kTileThreads, kBytes, stream>>>(all);
  return launched();
}

}  // namespace

DeviceAnswer launch_tiles_sm90(const Tiles& all, int states, cudaStream_t stream) {
  return states == 64 ? launch<64>(all, stream) : launch<128>(all, stream);
}

}  // namespace adder::kernels::cuda
