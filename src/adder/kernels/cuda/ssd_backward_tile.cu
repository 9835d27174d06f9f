// The gradients of one chunk from S before it and G after it. A block takes a chunk and heads of
// one group, one head after the other: the score team (ssd_backward_scores.cuh) and the key team
// (ssd_backward_keys.cuh) work on a head while the rows and states of the next arrive; the sums
// over heads stay in registers.
#include "adder/kernels/cuda/ssd_backward_finish.cuh"
#include "adder/kernels/cuda/ssd_backward_keys.cuh"
#include "adder/kernels/cuda/ssd_backward_scores.cuh"

namespace adder::kernels::cuda {
namespace {

constexpr int kTeam = 256, kThreads = 2 * kTeam;  // the score team, then the key teams
constexpr int kLoaders = kTeam;

/// Rows of B and C, and where documents begin.
template <int P, int N>
__device__ __forceinline__ void load_tile(const Tiles& all, const TileOf& tile, int thread,
                                          TileMemory<P, N>& memory) {
  copy_rows<kLoaders>(AlignedTile<N>{shared_address(memory.B)}, all.B, tile.batch, tile.first,
                      tile.group, tile.documents.padding, thread);
  copy_rows<kLoaders>(AlignedTile<N>{shared_address(memory.C)}, all.C, tile.batch, tile.first,
                      tile.group, tile.documents.padding, thread);
  if (thread < kChunk) memory.begin[thread] = document_start(tile.documents.begins, thread);
}

/// Brings heads to shared memory; a thread of the key teams each, for they have less to do.
template <int P, int N>
class HeadLoader {
 public:
  using Memory = TileMemory<P, N>;

  __device__ HeadLoader(const Tiles& all, const TileOf& tile, int thread)
      : all_(all),
        unit_(all.sizes.unit(tile.batch, tile.head0, tile.chunk)),
        thread_(thread),
        row_(thread / kCells),
        cell_(thread % kCells) {
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const int row = row_ + pass * kRows;
      valid_[pass] = !(tile.documents.padding >> row & 1);
      const int64_t token = tile.first + (valid_[pass] ? row : 0);
      x_[pass] = all.x.at(tile.batch, token, tile.head0) + cell_ * 8;
      dy_[pass] = all.dy.at(tile.batch, token, tile.head0) + cell_ * 8;
    }
    D_ = all.D + tile.head0 * all.D_head_stride + thread * all.D_channel_stride;
  }

  /// Head number i of the tile.
  __device__ __forceinline__ void load(int i, Memory& memory) const {
    typename Memory::Head& to = memory.head[i % 2];
    const uint32_t place = AlignedTile<P>{shared_address(to.x)}.cell(row_, cell_);
#pragma unroll
    for (int pass = 0; pass < kPasses; ++pass) {
      const uint32_t at = place + pass * kRows * P * 2;
      copy16_async(at, x_[pass] + i * all_.x.head_stride, valid_[pass]);
      copy16_async(at + sizeof(to.x), dy_[pass] + i * all_.dy.head_stride, valid_[pass]);
    }
    const int64_t unit = unit_ + int64_t{i} * all_.sizes.chunks;
    const __nv_bfloat16* S = all_.space.before + unit * P * N + thread_ * 8;
    const __nv_bfloat16* G = all_.space.after + unit * P * N + thread_ * 8;
#pragma unroll
    for (int at = 0; at < P * N; at += kLoaders * 8) {
      copy16_async(shared_address(to.S + at + thread_ * 8), S + at, true);
      copy16_async(shared_address(to.G + at + thread_ * 8), G + at, true);
    }
    if (thread_ < kStepCells)
      copy16_async(shared_address(&memory.steps[i % 3]) + thread_ * 16,
                   reinterpret_cast<const char*>(all_.space.steps + unit) + thread_ * 16, true);
    if (thread_ >= P) return;
    if (all_.D == nullptr)
      to.skip[thread_] = 0;
    else
      copy4_async(shared_address(to.skip + thread_), D_ + i * all_.D_head_stride);
  }

 private:
  static constexpr int kCells = P / 8, kStepCells = sizeof(ChunkSteps) / 16;
  static constexpr int kRows = kLoaders / kCells, kPasses = kChunk / kRows;
  static_assert(kPasses >= 1 && P * N % (kLoaders * 8) == 0 && kStepCells <= kLoaders);

  const Tiles& all_;
  const int64_t unit_;
  const int thread_, row_, cell_;
  bool valid_[kPasses];
  const __nv_bfloat16 *x_[kPasses], *dy_[kPasses];
  const float* D_;
};

template <int P, int N>
__device__ __forceinline__ void run_score_team(const Tiles& all, const TileOf& tile,
                                               TileMemory<P, N>& memory) {
  ScoreTeam<P, N> team(memory, tile);
  const auto finish = [&](int i) {
    if (i >= 0 && threadIdx.x / 32 == 3)  // this warp has the least to do
      finish_steps(all, tile, memory.sums[i % 2], memory.steps[i % 3], tile.head0 + i);
  };
  for (int i = 0; i < tile.heads; ++i) {
    meet<kThreads>();
    if (i == 0) team.make_scores();
    team.head(memory.head[i % 2], memory.steps[i % 3], memory.sums[i % 2], all.dx, tile.head0 + i);
    finish(i - 1);
  }
  meet<kThreads>();
  finish(tile.heads - 1);
  static_assert(sizeof(memory.scores) >= AlignedTile<kChunk>::bytes(kChunk));
  team.write_Z({shared_address(memory.scores)});  // the scores are done with
  meet<kThreads>();
}

template <int P, int N>
__device__ __forceinline__ void run_key_teams(const Tiles& all, const TileOf& tile, int thread,
                                              TileMemory<P, N>& memory) {
  KeyTeam<P, N> team(memory, tile, thread >= kTeam / 2, thread % (kTeam / 2) / 32);
  const HeadLoader<P, N> loader(all, tile, thread);
  load_tile(all, tile, thread, memory);
  loader.load(0, memory);
  commit_copies();
  for (int i = 0; i < tile.heads; ++i) {
    wait_copies<0>();
    meet<kThreads>();  // head i is there, and all are done with head i - 1
    if (i + 1 < tile.heads) loader.load(i + 1, memory);
    commit_copies();
    const auto& in = memory.head[i % 2];
    if (all.channels > 1 && thread < P)
      sum_channels<P>(all, tile, {shared_address(in.x)}, {shared_address(in.dy)}, tile.head0 + i,
                      thread);
    team.head(memory.head[i % 2], memory.steps[i % 3], memory.sums[i % 2]);
  }
  meet<kThreads>();
  meet<kThreads>();
  team.add_scores({shared_address(memory.scores)});
  team.write(all);
}

template <int P, int N>
__global__ void __launch_bounds__(kThreads, 1) tile_kernel(Tiles all) {
  extern __shared__ __align__(256) unsigned char bytes[];
  TileMemory<P, N>& memory = *reinterpret_cast<TileMemory<P, N>*>(bytes);
  const TileOf tile(all);
  if (threadIdx.x < kTeam) {
    run_score_team(all, tile, memory);
  } else {
    run_key_teams(all, tile, static_cast<int>(threadIdx.x) - kTeam, memory);
  }
}

template <int P, int N>
DeviceAnswer launch(const Tiles& all, int blocks, cudaStream_t stream) {
  constexpr int kBytes = sizeof(TileMemory<P, N>);
  static_assert(kBytes <= kGradientTileBytes);
  if (const auto error = answer(cudaFuncSetAttribute(
          tile_kernel<P, N>, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes)))
    return error;
  const dim3 grid(all.sizes.chunks, all.sizes.batch, all.sizes.groups * blocks);
  tile_kernel<P, N><<<grid, kThreads, kBytes, stream>>>(all);
  return launched();
}

}  // namespace

int head_blocks(const Sizes& sizes, int multiprocessors) {
  const int64_t tiles = int64_t{1} * sizes.chunks * sizes.batch * sizes.groups;
  const int64_t wanted =
      std::clamp<int64_t>(ceil_div(multiprocessors * 15 / 8, tiles), 1, sizes.heads_a_group());
  const int64_t heads = ceil_div(sizes.heads_a_group(), wanted);
  return static_cast<int>(ceil_div(sizes.heads_a_group(), heads));  // none is empty
}

DeviceAnswer launch_tiles(const SsdInputs& in, const SsdGradients& grads, const Sizes& sizes,
                          int blocks, const Workspace& space, cudaStream_t stream) {
  const Tiles all = {sizes,
                     static_cast<int>(ceil_div(sizes.heads_a_group(), blocks)),
                     space,
                     rows_of(in.x),
                     rows_of(grads.grad_y),
                     rows_of(in.B),
                     rows_of(in.C),
                     rows_of(grads.grad_x),
                     rows_of(grads.grad_B),
                     rows_of(grads.grad_C),
                     in.D.as<float>(),
                     in.D.stride[0],
                     in.D.size[1] == 1 ? 0 : in.D.stride[1],
                     in.D.given() ? static_cast<int>(in.D.size[1]) : 1,
                     grads.grad_dt.data,
                     grads.grad_dt.stride[0],
                     grads.grad_dt.stride[1],
                     grads.grad_dt.stride[2],
                     grads.grad_dt.dtype == DType::bf16};
  if (in.x.size[3] == 64 && is_hopper())
    return launch_tiles_sm90(all, static_cast<int>(in.B.size[3]), blocks, stream);
  if (in.x.size[3] == 32)
    return in.B.size[3] == 64 ? launch<32, 64>(all, blocks, stream)
                              : launch<32, 128>(all, blocks, stream);
  return in.B.size[3] == 64 ? launch<64, 64>(all, blocks, stream)
                            : launch<64, 128>(all, blocks, stream);
}

}  // namespace adder::kernels::cuda
