// The gradient goes over the tokens in their order by row, in runs of a fixed length: a block adds
// up a run. What begins and ends within a run is a row of the result; a row that goes on from run
// to run leaves its parts behind, which a second kernel adds up. So no row, however frequent, is
// one thread's work, and the order of each sum is fixed.
#include <algorithm>

#include "adder/kernels/cuda/functions.h"
#include "adder/kernels/cuda/rows.cuh"

namespace adder::kernels::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kRun = 32;    // tokens of a run
constexpr int kFlight = 8;  // rows that a thread has under way

template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads)
    gather_rows(const float* weight, int64_t weight_stride, int64_t rows, const int32_t* tokens,
                int64_t tokens_stride, T* y, int64_t y_stride, int64_t count,
                int64_t vectors_of_row) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t t = index / vectors_of_row;
  if (t >= count) return;
  const int64_t column = (index - t * vectors_of_row) * kCount;
  const int64_t token = tokens[t * tokens_stride];
  float value[kCount];
#pragma unroll
  for (int i = 0; i < kCount; ++i) value[i] = NAN;
  if (token >= 0 && token < rows)
    unpack<float, kCount>(load<float, kCount>(weight + token * weight_stride + column), value);
  store<T, kCount>(y + t * y_stride + column, value);
}

template <typename T>
struct RunSums {
  const T* grad_y;
  const int32_t* sorted;
  const int64_t* order;
  float* grad_weight;
  float* from_before;  // (runs, width): of the row that the run before began
  float* begun;        // (runs, width): of a row that goes on in the next run
  int64_t tokens, rows, width, grad_y_stride;
};

/// The tokens of a run, with the neighbours on both sides (-1 where there is none).
struct RunKeys {
  int32_t before, behind;
  int32_t key[kRun];
  int64_t place[kRun];
};

template <typename T>
__device__ __forceinline__ int read_run(const RunSums<T>& sums, RunKeys& run) {
  const int64_t first = int64_t{blockIdx.x} * kRun;
  const int count = static_cast<int>(min(int64_t{kRun}, sums.tokens - first));
  const int i = static_cast<int>(threadIdx.x);
  if (i < kRun) {
    run.key[i] = i < count ? sums.sorted[first + i] : -1;
    run.place[i] = i < count ? sums.order[first + i] : 0;
  }
  if (i == 0) {
    run.before = first > 0 ? sums.sorted[first - 1] : -1;
    run.behind = first + count < sums.tokens ? sums.sorted[first + count] : -1;
  }
  __syncthreads();
  return count;
}

/// Where the sum of the row that ends at token i of the run belongs; nullptr for a token that has
/// no row.
template <typename T>
__device__ __forceinline__ float* place_of_sum(const RunSums<T>& sums, const RunKeys& run, int i,
                                               int count) {
  const int32_t key = run.key[i];
  if (key < 0 || key >= sums.rows) return nullptr;
  if (key == run.key[0] && key == run.before) return sums.from_before + blockIdx.x * sums.width;
  if (i == count - 1 && key == run.behind) return sums.begun + blockIdx.x * sums.width;
  return sums.grad_weight + key * sums.width;
}

template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads) sum_runs(const __grid_constant__ RunSums<T> sums) {
  __shared__ RunKeys run;
  const int count = read_run(sums, run);
  for (int64_t column = threadIdx.x * kCount; column < sums.width; column += kThreads * kCount) {
    float sum[kCount] = {};
    for (int begin = 0; begin < count; begin += kFlight) {
      Packed<T, kCount> values[kFlight];
#pragma unroll
      for (int i = 0; i < kFlight; ++i)  // behind the last token: row 0 once more, not added
        values[i] =
            load<T, kCount>(sums.grad_y + run.place[begin + i] * sums.grad_y_stride + column);
#pragma unroll
      for (int i = 0; i < kFlight; ++i) {
        const int t = begin + i;
        if (t >= count) break;
        float value[kCount];
        unpack<T, kCount>(values[i], value);
#pragma unroll
        for (int j = 0; j < kCount; ++j) sum[j] += value[j];
        if (t + 1 < count && run.key[t + 1] == run.key[t]) continue;
        if (float* to = place_of_sum(sums, run, t, count)) store<float, kCount>(to + column, sum);
#pragma unroll
        for (int j = 0; j < kCount; ++j) sum[j] = 0;
      }
    }
  }
}

/// Of the row that run blockIdx.x begins and does not end, if there is one: all its parts.
template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads) join_runs(const __grid_constant__ RunSums<T> sums) {
  const int64_t first = int64_t{blockIdx.x} * kRun, behind = first + kRun;
  if (behind >= sums.tokens) return;
  const int32_t key = sums.sorted[behind];
  const bool goes_on = sums.sorted[behind - 1] == key && key >= 0 && key < sums.rows;
  const bool from_before = first > 0 && sums.sorted[first - 1] == key && sums.sorted[first] == key;
  if (!goes_on || from_before) return;
  int64_t end = blockIdx.x + 2;  // the runs that begin with this row: those before `end`
  while (end * kRun < sums.tokens && sums.sorted[end * kRun] == key) ++end;
  for (int64_t column = threadIdx.x * kCount; column < sums.width; column += kThreads * kCount) {
    float sum[kCount];
    unpack<float, kCount>(load<float, kCount>(sums.begun + blockIdx.x * sums.width + column), sum);
#pragma unroll 4
    for (int64_t part = blockIdx.x + 1; part < end; ++part) {
      float value[kCount];
      unpack<float, kCount>(load<float, kCount>(sums.from_before + part * sums.width + column),
                            value);
#pragma unroll
      for (int j = 0; j < kCount; ++j) sum[j] += value[j];
    }
    store<float, kCount>(sums.grad_weight + key * sums.width + column, sum);
  }
}

template <typename T, int kCount>
DeviceAnswer sum_rows(const RunSums<T>& sums, const DeviceWork& work) {
  const auto runs = static_cast<unsigned>(ceil_div(sums.tokens, kRun));
  sum_runs<T, kCount><<<runs, kThreads, 0, stream_of(work)>>>(sums);
  if (const DeviceAnswer wrong = launched()) return wrong;
  join_runs<T, kCount><<<runs, kThreads, 0, stream_of(work)>>>(sums);
  return launched();
}

template <typename T>
DeviceAnswer sum_rows(const EmbeddingGradient& args, const DeviceWork& work) {
  RunSums<T> sums = {};
  sums.grad_y = args.grad_y.as<T>();
  sums.sorted = args.sorted.as<int32_t>();
  sums.order = args.order.as<int64_t>();
  sums.grad_weight = args.grad_weight.as<float>();
  sums.tokens = args.grad_y.size[0];
  sums.rows = args.grad_weight.size[0];
  sums.width = args.grad_weight.size[1];
  sums.grad_y_stride = args.grad_y.stride[0];
  const int64_t parts = ceil_div(sums.tokens, kRun) * sums.width;
  sums.from_before = take<float>(work, parts);
  sums.begun = take<float>(work, parts);
  return all_in_vectors(4, args.grad_y, args.grad_weight) ? sum_rows<T, 4>(sums, work)
                                                          : sum_rows<T, 1>(sums, work);
}

template <typename T, int kCount>
DeviceAnswer gather(const EmbeddingRows& args, const DeviceWork& work) {
  const auto [count, width] = args.y.size;
  const auto blocks = static_cast<unsigned>(ceil_div(count * width / kCount, kThreads));
  gather_rows<T, kCount><<<blocks, kThreads, 0, stream_of(work)>>>(
      args.weight.as<float>(), args.weight.stride[0], args.weight.size[0],
      args.tokens.as<int32_t>(), args.tokens.stride[0], args.y.as<T>(), args.y.stride[0], count,
      width / kCount);
  return launched();
}

template <typename T>
DeviceAnswer gather(const EmbeddingRows& args, const DeviceWork& work) {
  return all_in_vectors(4, args.weight, args.y) ? gather<T, 4>(args, work)
                                                : gather<T, 1>(args, work);
}

}  // namespace

DeviceAnswer embedding(const EmbeddingRows& args, const DeviceWork& work) {
  if (args.y.size[0] * args.y.size[1] == 0) return nullptr;
  if (args.y.dtype == DType::f32) return gather<float>(args, work);
  if (args.y.dtype == DType::bf16) return gather<__nv_bfloat16>(args, work);
  return "embedding: y is neither f32 nor bf16";
}

DeviceAnswer embedding_backward(const EmbeddingGradient& args, const DeviceWork& work) {
  const auto [rows, width] = args.grad_weight.size;
  if (rows * width == 0) return nullptr;
  const size_t bytes = static_cast<size_t>(rows * width) * sizeof(float);
  if (const DeviceAnswer wrong =
          answer(cudaMemsetAsync(args.grad_weight.data, 0, bytes, stream_of(work))))
    return wrong;
  if (args.grad_y.size[0] == 0) return nullptr;
  if (args.grad_y.dtype == DType::f32) return sum_rows<float>(args, work);
  if (args.grad_y.dtype == DType::bf16) return sum_rows<__nv_bfloat16>(args, work);
  return "embedding_backward: grad_y is neither f32 nor bf16";
}

}  // namespace adder::kernels::cuda
