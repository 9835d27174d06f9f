// Both passes of adamw.h over every parameter of a model. The table of tensors travels as a
// parameter of the launch (up to 32,764 bytes since CUDA 12.1), so a captured launch needs no
// memory of its own. A block takes one chunk of one tensor; a model of more tensors than a table
// holds takes several launches.
#include <algorithm>

#include "adder/kernels/cuda/device.h"
#include "adder/kernels/cuda/functions.h"

namespace adder::kernels::cuda {
namespace {

constexpr int kThreads = 512;
constexpr int kStep = 4 * kThreads;  // elements a block takes in one access
constexpr int kSumThreads = 1024;
/// Elements a block takes: no more than it has under way at once, so that each block reads,
/// computes and writes once, and memory sees long runs of either.
constexpr int64_t kChunk = 8192;
constexpr int kTableSize = 512;

struct Table {
  AdamwTensor tensors[kTableSize];
  int32_t
      first_chunk[kTableSize + 1];  // of each tensor, counted over the table; the last: how many
  int32_t count;
};
static_assert(sizeof(Table) <= 32000, "a launch takes 32,764 bytes of parameters");

/// The elements [begin, end) of one tensor.
struct Chunk {
  const AdamwTensor& tensor;
  int64_t begin, end;
};

/// The chunk of this block.
__device__ __forceinline__ Chunk chunk_of(const Table& table) {
  const int32_t chunk = static_cast<int32_t>(blockIdx.x);
  int32_t below = 0, above = table.count;  // first_chunk[below] <= chunk < first_chunk[above]
  while (above - below > 1) {
    const int32_t middle = (below + above) / 2;
    (table.first_chunk[middle] <= chunk ? below : above) = middle;
  }
  const AdamwTensor& tensor = table.tensors[below];
  const int64_t begin = (chunk - table.first_chunk[below]) * kChunk;
  return {tensor, begin, min(begin + kChunk, tensor.count)};
}

/// Four elements in one access; values are read and written once, so they need no place in caches.
__device__ __forceinline__ float4 load4(const float* from) {
  return __ldcs(reinterpret_cast<const float4*>(from));
}
__device__ __forceinline__ float4 load4(const __nv_bfloat16* from) {
  const uint2 bits = __ldcs(reinterpret_cast<const uint2*>(from));
  // A bf16 is the upper half of its f32.
  return {__uint_as_float(bits.x << 16), __uint_as_float(bits.x & 0xffff0000u),
          __uint_as_float(bits.y << 16), __uint_as_float(bits.y & 0xffff0000u)};
}
__device__ __forceinline__ void store4(float* to, float4 value) {
  __stcs(reinterpret_cast<float4*>(to), value);
}
__device__ __forceinline__ void store4(__nv_bfloat16* to, float4 value) {
  const __nv_bfloat162 low = __floats2bfloat162_rn(value.x, value.y),
                       high = __floats2bfloat162_rn(value.z, value.w);
  __stcs(reinterpret_cast<uint2*>(to),
         uint2{reinterpret_cast<const uint32_t&>(low), reinterpret_cast<const uint32_t&>(high)});
}

template <typename T>
__device__ __forceinline__ bool fits4(const T* pointer) {
  return reinterpret_cast<uintptr_t>(pointer) % (4 * sizeof(T)) == 0;
}

/// The sum of `value` over the block, in a fixed order; in thread 0.
template <int kCount>
__device__ double block_sum(double value) {
  __shared__ double warps[kCount / 32];
  for (int offset = 16; offset > 0; offset /= 2)
    value += __shfl_down_sync(0xffffffffu, value, offset);
  if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
  __syncthreads();
  double sum = 0;
  if (threadIdx.x == 0)
    for (const double warp : warps) sum += warp;
  return sum;
}

/// Accesses that a thread has under way of each array: of the gradient alone, and of all four.
constexpr int kDeep = 4, kWide = 4;

__device__ __forceinline__ double square_sum(float4 g) {
  const auto square = [](double value) { return value * value; };
  return (square(g.x) + square(g.y)) + (square(g.z) + square(g.w));
}

template <typename G>
__device__ __forceinline__ double square_sum(const G* gradient, int64_t begin, int64_t end) {
  const int64_t fours = fits4(gradient) ? begin + (end - begin) / 4 * 4 : begin;
  double sum = 0;
  int64_t i = begin + 4 * threadIdx.x;
  for (; i + (kDeep - 1) * kStep < fours; i += kDeep * kStep) {
    float4 g[kDeep];
    for (int k = 0; k < kDeep; ++k) g[k] = load4(gradient + i + k * kStep);
    for (int k = 0; k < kDeep; ++k) sum += square_sum(g[k]);
  }
  for (; i < fours; i += kStep) sum += square_sum(load4(gradient + i));
  for (i = fours + threadIdx.x; i < end; i += kThreads) {
    const double g = static_cast<float>(gradient[i]);
    sum += g * g;
  }
  return sum;
}

__global__ void __launch_bounds__(kThreads)
    square_sums(const __grid_constant__ Table table, double* sums) {
  const Chunk chunk = chunk_of(table);
  const void* gradient = chunk.tensor.gradient;
  double sum = 0;
  if (gradient != nullptr && chunk.tensor.gradient_dtype == DType::bf16)
    sum = square_sum(static_cast<const __nv_bfloat16*>(gradient), chunk.begin, chunk.end);
  else if (gradient != nullptr)
    sum = square_sum(static_cast<const float*>(gradient), chunk.begin, chunk.end);
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// One block: the norm out of the sums of all chunks, and whether the step is fit to be applied.
__global__ void __launch_bounds__(kSumThreads)
    judge(const double* sums, int64_t count, const AdamwStep* step, AdamwReport* report) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += kSumThreads) sum += sums[i];
  sum = block_sum<kSumThreads>(sum);
  if (threadIdx.x != 0) return;
  report->norm = sqrt(sum);
  const double loss = report->loss;
  report->applied = isfinite(report->norm) && isfinite(loss) && loss <= step->loss_limit ? 1 : 0;
}

/// What every element of a tensor is updated with.
struct Coefficients {
  float clip;          // factor of the gradient
  float beta1, rest1;  // rest = 1 - beta
  float beta2, rest2;
  float eps;
  float keep;   // 1 - lr decay
  float rate;   // lr / bias1
  float scale;  // 1 / sqrt(bias2)
};

__device__ __forceinline__ void update(float& w, float& m, float& v, float g,
                                       const Coefficients& c) {
  g *= c.clip;
  m = c.beta1 * m + c.rest1 * g;
  v = c.beta2 * v + c.rest2 * g * g;
  w = c.keep * w - c.rate * m / (sqrtf(v) * c.scale + c.eps);
}

/// kCount times four elements, kStep apart: all is under way before the first is waited for.
template <int kCount, typename G>
__device__ __forceinline__ void update_fours(const AdamwTensor& t, const G* gradient, int64_t i,
                                             const Coefficients& c) {
  float4 g[kCount], w[kCount], m[kCount], v[kCount];
  for (int k = 0; k < kCount; ++k) {
    const int64_t at = i + k * kStep;
    g[k] = gradient == nullptr ? float4{} : load4(gradient + at);
    w[k] = load4(t.parameter + at);
    m[k] = load4(t.mean + at);
    v[k] = load4(t.square + at);
  }
  for (int k = 0; k < kCount; ++k) {
    const int64_t at = i + k * kStep;
    update(w[k].x, m[k].x, v[k].x, g[k].x, c);
    update(w[k].y, m[k].y, v[k].y, g[k].y, c);
    update(w[k].z, m[k].z, v[k].z, g[k].z, c);
    update(w[k].w, m[k].w, v[k].w, g[k].w, c);
    store4(t.parameter + at, w[k]);
    store4(t.mean + at, m[k]);
    store4(t.square + at, v[k]);
    if (t.copy != nullptr) store4(static_cast<__nv_bfloat16*>(t.copy) + at, w[k]);
  }
}

template <typename G>
__device__ __forceinline__ void update_one(const AdamwTensor& t, const G* gradient, int64_t i,
                                           const Coefficients& c) {
  float w = t.parameter[i], m = t.mean[i], v = t.square[i];
  update(w, m, v, gradient == nullptr ? 0.0f : static_cast<float>(gradient[i]), c);
  t.parameter[i] = w;
  t.mean[i] = m;
  t.square[i] = v;
  if (t.copy != nullptr) static_cast<__nv_bfloat16*>(t.copy)[i] = __float2bfloat16_rn(w);
}

template <typename G>
__device__ __forceinline__ void update_chunk(const Chunk& chunk, const Coefficients& c) {
  const AdamwTensor& t = chunk.tensor;
  const G* gradient = static_cast<const G*>(t.gradient);
  const bool wide = fits4(t.parameter) && fits4(t.mean) && fits4(t.square) && fits4(gradient) &&
                    fits4(static_cast<const __nv_bfloat16*>(t.copy));
  const int64_t fours = wide ? chunk.begin + (chunk.end - chunk.begin) / 4 * 4 : chunk.begin;
  int64_t i = chunk.begin + 4 * threadIdx.x;
  for (; i + (kWide - 1) * kStep < fours; i += kWide * kStep)
    update_fours<kWide>(t, gradient, i, c);
  for (; i < fours; i += kStep) update_fours<1>(t, gradient, i, c);
  for (i = fours + threadIdx.x; i < chunk.end; i += kThreads) update_one(t, gradient, i, c);
}

/// What the options of a model come to at this step and for this decay.
__device__ __forceinline__ Coefficients at_step(Coefficients c, const AdamwStep& step, double norm,
                                                float decay) {
  const auto lr = static_cast<float>(step.lr);
  c.clip = step.clip > 0 && norm > step.clip
               ? static_cast<float>(step.clip) / static_cast<float>(norm)
               : 1.0f;
  c.keep = 1 - lr * decay;
  c.rate = lr / static_cast<float>(step.bias1);
  c.scale = 1 / sqrtf(static_cast<float>(step.bias2));
  return c;
}

__global__ void __launch_bounds__(kThreads)
    update_all(const __grid_constant__ Table table, const __grid_constant__ Coefficients options,
               const AdamwStep* step, const AdamwReport* report) {
  if (report->applied == 0) return;
  const Chunk chunk = chunk_of(table);
  const Coefficients c = at_step(options, *step, report->norm, chunk.tensor.decay);
  if (chunk.tensor.gradient_dtype == DType::bf16)
    update_chunk<__nv_bfloat16>(chunk, c);
  else
    update_chunk<float>(chunk, c);
}

/// Calls launch(table, chunks, chunks before) for one table of tensors after another.
template <typename Launch>
DeviceAnswer for_each_table(const AdamwTensors& all, Launch launch) {
  int64_t before = 0;
  for (int64_t first = 0; first < all.count; first += kTableSize) {
    Table table = {};
    table.count = static_cast<int32_t>(std::min<int64_t>(kTableSize, all.count - first));
    int64_t chunks = 0;
    for (int32_t i = 0; i < table.count; ++i) {
      table.tensors[i] = all.tensors[first + i];
      table.first_chunk[i] = static_cast<int32_t>(chunks);
      chunks += ceil_div(table.tensors[i].count, kChunk);
    }
    table.first_chunk[table.count] = static_cast<int32_t>(chunks);
    if (chunks == 0) continue;
    if (chunks > INT32_MAX) return "adamw: more elements than one launch takes";
    launch(table, static_cast<unsigned>(chunks), before);
    if (const DeviceAnswer wrong = launched()) return wrong;
    before += chunks;
  }
  return nullptr;
}

DeviceAnswer check(const AdamwTensors& all) {
  if (all.step == nullptr || all.report == nullptr) return "adamw: step and report must be given";
  for (int64_t i = 0; i < all.count; ++i) {
    const DType type = all.tensors[i].gradient_dtype;
    if (type != DType::f32 && type != DType::bf16) return "adamw: gradients are f32 or bf16";
  }
  return nullptr;
}

}  // namespace

DeviceAnswer gradient_norm(const AdamwTensors& all, const DeviceWork& work) {
  if (const DeviceAnswer wrong = check(all)) return wrong;
  int64_t chunks = 0;
  for (int64_t i = 0; i < all.count; ++i) chunks += ceil_div(all.tensors[i].count, kChunk);
  double* sums = take<double>(work, std::max<int64_t>(1, chunks));
  const auto launch = [&](const Table& table, unsigned count, int64_t before) {
    square_sums<<<count, kThreads, 0, stream_of(work)>>>(table, sums + before);
  };
  if (const DeviceAnswer wrong = for_each_table(all, launch)) return wrong;
  judge<<<1, kSumThreads, 0, stream_of(work)>>>(sums, chunks, all.step, all.report);
  return launched();
}

DeviceAnswer adamw(const AdamwTensors& all, const DeviceWork& work) {
  if (const DeviceAnswer wrong = check(all)) return wrong;
  Coefficients options = {};
  options.beta1 = static_cast<float>(all.beta1);
  options.rest1 = static_cast<float>(1 - all.beta1);
  options.beta2 = static_cast<float>(all.beta2);
  options.rest2 = static_cast<float>(1 - all.beta2);
  options.eps = static_cast<float>(all.eps);
  return for_each_table(all, [&](const Table& table, unsigned count, int64_t) {
    update_all<<<count, kThreads, 0, stream_of(work)>>>(table, options, all.step, all.report);
  });
}

}  // namespace adder::kernels::cuda
