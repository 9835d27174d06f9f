// One block takes one row of logits after another. A row is read once from memory: it stays in
// shared memory, as far as it fits, from the pass that finds the log-sum-exp to the pass that
// writes the gradient, and while a pass empties a place there, the next row's elements are fetched
// into it. A thread meets only elements it fetched itself, so the one barrier a row needs is that
// of its sums.
#include <algorithm>
#include <cfloat>
#include <type_traits>

#include "adder/kernels/cuda/device.h"
#include "adder/kernels/cuda/functions.h"
#include "adder/kernels/cuda/mma.cuh"

namespace adder::kernels::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kParts = 4;  // of a row: how finely reading and fetching interlock

struct LogitTile {
  const void* logits;
  void* dlogits;
  const int64_t* target;
  const float* scale;
  float* nll;
  int64_t rows, vocab;
  int64_t logits_stride, dlogits_stride, target_stride, nll_stride, scale_stride;
  int64_t ignore_index;
  float z_loss, smoothing, softcap;
  int32_t vectors;  // of 16 bytes of logits in a row; 0 where rows do not begin at 16 bytes
  int32_t kept;     // how many of them stay in shared memory
};

/// 16 bytes of a row.
template <typename T>
struct alignas(16) Vector {
  static constexpr int kCount = 16 / sizeof(T);
  T element[kCount];
};

/// N gradients that are stored at once.
template <typename G, int N>
struct alignas(std::min<size_t>(16, N * sizeof(G))) Gradients {
  G element[N];
};

/// e^(s - highest)
__device__ __forceinline__ float weight_of(float s, float highest) {
  return ex2((s - highest) * 1.44269504f);
}

/// What sums over scores come to.
struct Sums {
  float highest = -FLT_MAX;  // finite, so that a score of -inf weighs 0
  float weight = 0;          // sum of e^(s - highest)
  float total = 0;           // sum of s

  template <int N>
  __device__ __forceinline__ void add(const float (&s)[N]) {
    float top = s[0];
    for (int i = 1; i < N; ++i) top = fmaxf(top, s[i]);
    if (top > highest) {
      weight *= weight_of(highest, top);
      highest = top;
    }
    for (int i = 0; i < N; ++i) {
      weight += weight_of(s[i], highest);
      total += s[i];
    }
  }
  __device__ __forceinline__ void add(const Sums& other) {
    const float top = fmaxf(highest, other.highest);
    weight = weight * weight_of(highest, top) + other.weight * weight_of(other.highest, top);
    highest = top;
    total += other.total;
  }
  __device__ __forceinline__ Sums from(int lane) const {
    return {__shfl_sync(0xffffffffu, highest, lane), __shfl_sync(0xffffffffu, weight, lane),
            __shfl_sync(0xffffffffu, total, lane)};
  }
};

/// Over the lanes of a warp, in a fixed order; the same bits in every lane.
__device__ __forceinline__ Sums warp_sums(Sums sums) {
  for (int offset = 16; offset > 0; offset /= 2)
    sums.add(sums.from((static_cast<int>(threadIdx.x) + offset) % 32));
  return sums.from(0);
}

/// Over the block. `places` is not touched again before the next barrier but one.
__device__ __forceinline__ Sums block_sums(const Sums& mine, Sums (&places)[kThreads / 32]) {
  const Sums warp = warp_sums(mine);
  if (threadIdx.x % 32 == 0) places[threadIdx.x / 32] = warp;
  __syncthreads();
  const unsigned lane = threadIdx.x % 32;
  return warp_sums(lane < kThreads / 32 ? places[lane] : Sums());
}

/// One row and what its pass over the scores brought.
struct Row {
  int64_t index;
  int64_t label;
  bool ignored;
};

/// A row after the last one counts as ignored.
__device__ __forceinline__ Row row_at(const LogitTile& tile, int64_t index) {
  const int64_t label =
      index < tile.rows ? tile.target[index * tile.target_stride] : tile.ignore_index;
  return {index, label, label == tile.ignore_index};
}

/// Softcapped, if so asked.
template <bool kSoftcap, typename T>
__device__ __forceinline__ float score_of(T logit, const LogitTile& tile) {
  const float s = static_cast<float>(logit);
  return kSoftcap ? tile.softcap * tanhf(s / tile.softcap) : s;
}

template <bool kSoftcap, typename T>
__device__ __forceinline__ void scores_of(const Vector<T>& logits, const LogitTile& tile,
                                          float (&s)[Vector<T>::kCount]) {
  for (int i = 0; i < Vector<T>::kCount; ++i) s[i] = score_of<kSoftcap>(logits.element[i], tile);
}

template <typename T>
__device__ __forceinline__ const T* logits_of(const LogitTile& tile, int64_t row) {
  return static_cast<const T*>(tile.logits) + row * tile.logits_stride;
}

/// Where part `part` of the kept vectors begins.
__device__ __forceinline__ int32_t part_begin(const LogitTile& tile, int part) {
  const int32_t length = (tile.kept + kParts * kThreads - 1) / (kParts * kThreads) * kThreads;
  return min(tile.kept, part * length);
}

/// Visits this thread's vectors of one part, visit(index, vector), and fetches those of row `next`
/// behind itself, if it is a row that counts.
template <typename T, typename Visit>
__device__ __forceinline__ void visit_part(const LogitTile& tile, Vector<T>* kept, int part,
                                           const Row& next, bool fetch, const Visit& visit) {
  const auto* from = reinterpret_cast<const Vector<T>*>(logits_of<T>(tile, next.index));
  const int32_t end = part_begin(tile, part + 1);
  for (int32_t v = part_begin(tile, part) + static_cast<int32_t>(threadIdx.x); v < end;
       v += kThreads) {
    visit(v, kept[v]);
    if (fetch && !next.ignored) copy16_async(shared_address(&kept[v]), &from[v], true);
  }
  if (fetch) commit_copies();
}

/// Visits what is not kept: visit(index, vector) and visit_one(index, logit).
template <typename T, typename Visit, typename VisitOne>
__device__ __forceinline__ void visit_rest(const LogitTile& tile, const Row& row,
                                           const Visit& visit, const VisitOne& visit_one) {
  const T* logits = logits_of<T>(tile, row.index);
  const auto* vectors = reinterpret_cast<const Vector<T>*>(logits);
  const int thread = static_cast<int>(threadIdx.x);
  for (int32_t v = tile.kept + thread; v < tile.vectors; v += kThreads) visit(v, vectors[v]);
  for (int64_t j = int64_t{tile.vectors} * Vector<T>::kCount + thread; j < tile.vocab;
       j += kThreads)
    visit_one(j, logits[j]);
}

/// First pass: the sums over this thread's scores. Where no gradient follows, fetches `next`.
template <typename T, bool kGradient, bool kSoftcap>
__device__ __forceinline__ Sums sum_row(const LogitTile& tile, Vector<T>* kept, const Row& row,
                                        const Row& next) {
  Sums sums;
  const auto add = [&](int32_t, const Vector<T>& logits) {
    float s[Vector<T>::kCount];
    scores_of<kSoftcap>(logits, tile, s);
    sums.add(s);
  };
  const auto add_one = [&](int64_t, T logit) {
    const float s[1] = {score_of<kSoftcap>(logit, tile)};
    sums.add(s);
  };
  const auto add_part = [&](auto part) {
    // The parts of `next` that were asked for meanwhile may still be on their way.
    wait_copies<kGradient ? kParts - 1 - part : kParts - 1>();
    visit_part(tile, kept, part, next, !kGradient, add);
  };
  add_part(std::integral_constant<int, 0>());
  add_part(std::integral_constant<int, 1>());
  add_part(std::integral_constant<int, 2>());
  add_part(std::integral_constant<int, 3>());
  static_assert(kParts == 4);
  visit_rest<T>(tile, row, add, add_one);
  return sums;
}

/// lse - (1 - smoothing) s_label - smoothing mean(s) + z_loss lse^2, differences of near values
/// first; NaN for a label that no word has.
__device__ __forceinline__ float loss_of(const LogitTile& tile, const Sums& sums,
                                         float label_score) {
  const float log_weight = logf(sums.weight), lse = sums.highest + log_weight;
  float loss = (sums.highest - label_score) + log_weight + tile.z_loss * lse * lse;
  if (tile.smoothing > 0)
    loss += tile.smoothing * (label_score - sums.total / static_cast<float>(tile.vocab));
  return loss;
}

/// scale d nll / d logit = factor e^(s - highest) - uniform, less `peak` at the label; times the
/// slope of the softcap.
template <bool kSoftcap>
struct Slope {
  float highest, factor, uniform, peak, softcap;

  __device__ __forceinline__ Slope(const LogitTile& tile, const Row& row, const Sums& sums)
      : highest(sums.highest), softcap(tile.softcap) {
    const float scale = tile.scale == nullptr ? 1.0f : tile.scale[row.index * tile.scale_stride];
    const float lse = sums.highest + logf(sums.weight);
    factor = scale * (1 + 2 * tile.z_loss * lse) / sums.weight;
    uniform = scale * tile.smoothing / static_cast<float>(tile.vocab);
    peak = scale * (1 - tile.smoothing);
  }
  __device__ __forceinline__ float operator()(float s, bool is_label) const {
    float slope = factor * weight_of(s, highest) - uniform;
    if (is_label) slope -= peak;
    if (kSoftcap) slope *= 1 - (s / softcap) * (s / softcap);
    return slope;
  }
};

/// Second pass: the gradient of the row; `next` is fetched behind it.
template <typename T, typename G, bool kSoftcap>
__device__ __forceinline__ void differentiate_row(const LogitTile& tile, Vector<T>* kept,
                                                  const Row& row, const Row& next,
                                                  const Sums& sums) {
  constexpr int kCount = Vector<T>::kCount;
  using Pack = Gradients<G, kCount>;
  G* to = static_cast<G*>(tile.dlogits) + row.index * tile.dlogits_stride;
  const Slope<kSoftcap> slope(tile, row, sums);
  const auto write = [&](int32_t v, const Vector<T>& logits) {
    float s[kCount];
    scores_of<kSoftcap>(logits, tile, s);
    const int64_t label = row.label - int64_t{v} * kCount;  // within this vector
    Pack pack;
    for (int i = 0; i < kCount; ++i)
      pack.element[i] = static_cast<G>(row.ignored ? 0.0f : slope(s[i], i == label));
    reinterpret_cast<Pack*>(to)[v] = pack;
  };
  const auto write_one = [&](int64_t j, T logit) {
    const float s = score_of<kSoftcap>(logit, tile);
    to[j] = static_cast<G>(row.ignored ? 0.0f : slope(s, j == row.label));
  };
  for (int part = 0; part < kParts; ++part) visit_part(tile, kept, part, next, true, write);
  visit_rest<T>(tile, row, write, write_one);
}

/// G: the type of the gradients; void: none are wanted.
template <typename T, typename G, bool kSoftcap>
__global__ void __launch_bounds__(kThreads) walk_rows(const __grid_constant__ LogitTile tile) {
  constexpr bool kGradient = !std::is_void_v<G>;
  extern __shared__ uint4 memory[];
  __shared__ Sums places[2][kThreads / 32];
  auto* kept = reinterpret_cast<Vector<T>*>(memory);
  Row row = row_at(tile, blockIdx.x);
  for (int part = 0; part < kParts; ++part)
    visit_part(tile, kept, part, row, true, [](int32_t, const Vector<T>&) {});
  for (int turn = 0; tile.rows > row.index; turn ^= 1) {
    const Row next = row_at(tile, row.index + gridDim.x);
    const bool known = row.label >= 0 && row.label < tile.vocab;
    float label_score = NAN;  // read before the gradient may take its place
    if (threadIdx.x == 0 && known)
      label_score = score_of<kSoftcap>(logits_of<T>(tile, row.index)[row.label], tile);
    const Sums sums =
        block_sums(sum_row<T, kGradient, kSoftcap>(tile, kept, row, next), places[turn]);
    if (threadIdx.x == 0)
      tile.nll[row.index * tile.nll_stride] = row.ignored ? 0.0f : loss_of(tile, sums, label_score);
    if constexpr (kGradient) differentiate_row<T, G, kSoftcap>(tile, kept, row, next, sums);
    row = next;
  }
  wait_copies<0>();
}

template <typename T, typename G, bool kSoftcap>
DeviceAnswer launch(LogitTile tile, const DeviceWork& work) {
  const auto kernel = walk_rows<T, G, kSoftcap>;
  cudaFuncAttributes own;
  if (const DeviceAnswer wrong = answer(cudaFuncGetAttributes(&own, kernel))) return wrong;
  // Shared memory that a block may ask for beside what the kernel has of its own.
  const int limit = device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) -
                    static_cast<int>(own.sharedSizeBytes);
  if (const DeviceAnswer wrong =
          answer(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, limit)))
    return wrong;
  tile.kept = std::min(tile.vectors, limit / 16);
  const int bytes = 16 * tile.kept;
  const int64_t blocks = std::min(tile.rows, blocks_at_once(kernel, kThreads, bytes));
  kernel<<<static_cast<unsigned>(blocks), kThreads, bytes, stream_of(work)>>>(tile);
  return launched();
}

template <typename T, typename G>
DeviceAnswer launch_for(const LogitTile& tile, const DeviceWork& work) {
  return tile.softcap > 0 ? launch<T, G, true>(tile, work) : launch<T, G, false>(tile, work);
}

template <typename T>
DeviceAnswer launch_for(const LogitTile& tile, const View<2>& dlogits, const DeviceWork& work) {
  if (!dlogits.given()) return launch_for<T, void>(tile, work);
  return dlogits.dtype == DType::f32 ? launch_for<T, float>(tile, work)
                                     : launch_for<T, __nv_bfloat16>(tile, work);
}

bool is_real(const View<2>& view) {
  return view.dtype == DType::f32 || view.dtype == DType::bf16;
}

/// Whether every row begins at a multiple of `bytes`.
bool aligned(const View<2>& view, int64_t bytes) {
  return reinterpret_cast<uintptr_t>(view.data) % bytes == 0 &&
         view.stride[0] * size_of(view.dtype) % bytes == 0;
}

}  // namespace

DeviceAnswer cross_entropy_tile(const CrossEntropyTile& args, const DeviceWork& work) {
  const auto [n_rows, vocab] = args.logits.size;
  if (n_rows == 0) return nullptr;
  if (!is_real(args.logits) || (args.dlogits.given() && !is_real(args.dlogits)))
    return "cross_entropy_tile: logits and dlogits are f32 or bf16";
  if (args.logits.stride[1] != 1 || (args.dlogits.given() && args.dlogits.stride[1] != 1))
    return "cross_entropy_tile: rows of logits and dlogits must be dense";
  if (args.dlogits.data == args.logits.data && args.dlogits.dtype != args.logits.dtype)
    return "cross_entropy_tile: dlogits may be logits only where the types are one";
  const int64_t per_vector = 16 / size_of(args.logits.dtype);
  const bool wide =
      aligned(args.logits, 16) &&
      (!args.dlogits.given() ||
       aligned(args.dlogits, std::min<int64_t>(16, per_vector * size_of(args.dlogits.dtype))));
  LogitTile tile = {};
  tile.logits = args.logits.data;
  tile.dlogits = args.dlogits.data;
  tile.target = args.target.as<int64_t>();
  tile.scale = args.scale.as<float>();
  tile.nll = args.nll.as<float>();
  tile.rows = n_rows;
  tile.vocab = vocab;
  tile.logits_stride = args.logits.stride[0];
  tile.dlogits_stride = args.dlogits.stride[0];
  tile.target_stride = args.target.stride[0];
  tile.nll_stride = args.nll.stride[0];
  tile.scale_stride = args.scale.stride[0];
  tile.ignore_index = args.options.ignore_index;
  tile.z_loss = static_cast<float>(args.options.z_loss);
  tile.smoothing = static_cast<float>(args.options.label_smoothing);
  tile.softcap = static_cast<float>(args.options.softcap);
  tile.vectors = wide ? static_cast<int32_t>(vocab / per_vector) : 0;
  return args.logits.dtype == DType::f32 ? launch_for<float>(tile, args.dlogits, work)
                                         : launch_for<__nv_bfloat16>(tile, args.dlogits, work);
}

}  // namespace adder::kernels::cuda
