// A thread takes one vector of a row: nothing is shared, and the memory sets the pace.
#include "adder/kernels/cuda/fast_silu.cuh"
#include "adder/kernels/cuda/functions.h"
#include "adder/kernels/cuda/rows.cuh"

namespace adder::kernels::cuda {
namespace {

constexpr int kThreads = 256;

/// A matrix whose rows are dense.
template <typename T>
struct Matrix {
  T* data;
  int64_t stride;

  explicit Matrix(const View<2>& view) : data(view.as<T>()), stride(view.stride[0]) {}
  __device__ __forceinline__ T* at(int64_t row, int64_t column) const {
    return data + row * stride + column;
  }
};

/// The place of this thread's vector; `row` is `rows` for those behind the end.
struct Place {
  int64_t row, column;
};

template <int kCount>
__device__ __forceinline__ Place place_of(int64_t vectors_of_row) {
  const int64_t index = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int64_t row = index / vectors_of_row;
  return {row, (index - row * vectors_of_row) * kCount};
}

template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads)
    swiglu_forward(Matrix<const T> up, Matrix<const T> gate, Matrix<T> y, int64_t rows,
                   int64_t vectors_of_row) {
  const auto [row, column] = place_of<kCount>(vectors_of_row);
  if (row >= rows) return;
  float u[kCount], g[kCount];
  unpack<T, kCount>(load<T, kCount>(up.at(row, column)), u);
  unpack<T, kCount>(load<T, kCount>(gate.at(row, column)), g);
#pragma unroll
  for (int i = 0; i < kCount; ++i) u[i] *= fast_silu(g[i]);
  store<T, kCount>(y.at(row, column), u);
}

template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_of(Matrix<const T> up, Matrix<const T> gate, Matrix<const T> grad_y,
                       Matrix<T> grad_up, Matrix<T> grad_gate, int64_t rows,
                       int64_t vectors_of_row) {
  const auto [row, column] = place_of<kCount>(vectors_of_row);
  if (row >= rows) return;
  float u[kCount], g[kCount], d[kCount];
  unpack<T, kCount>(load<T, kCount>(up.at(row, column)), u);
  unpack<T, kCount>(load<T, kCount>(gate.at(row, column)), g);
  unpack<T, kCount>(load<T, kCount>(grad_y.at(row, column)), d);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    const float s = fast_sigmoid(g[i]);
    u[i] *= d[i] * silu_slope(g[i], s);
    d[i] *= g[i] * s;
  }
  if (grad_up.data != nullptr) store<T, kCount>(grad_up.at(row, column), d);
  if (grad_gate.data != nullptr) store<T, kCount>(grad_gate.at(row, column), u);
}

/// Calls launch.template operator()<T, kCount>() for the type of `up` and vectors of 16 bytes, or
/// of one element.
template <typename Launch>
DeviceAnswer with_swiglu_types(const View<2>& up, bool wide, const Launch& launch) {
  if (up.dtype == DType::f32)
    return wide ? launch.template operator()<float, 4>() : launch.template operator()<float, 1>();
  if (up.dtype != DType::bf16) return "swiglu: up is neither f32 nor bf16";
  return wide ? launch.template operator()<__nv_bfloat16, 8>()
              : launch.template operator()<__nv_bfloat16, 1>();
}

int64_t per_vector(const View<2>& view) {
  return 16 / size_of(view.dtype);
}

unsigned blocks_for(int64_t threads) {
  return static_cast<unsigned>(ceil_div(threads, kThreads));
}

}  // namespace

DeviceAnswer swiglu(const SwigluInputs& in, const View<2>& y, const DeviceWork& work) {
  const auto [rows, width] = in.up.size;
  if (rows * width == 0) return nullptr;
  return with_swiglu_types(
      in.up, all_in_vectors(per_vector(in.up), in.up, in.gate, y),
      [&, rows = rows, width = width]<typename T, int kCount>() {
        swiglu_forward<T, kCount>
            <<<blocks_for(rows * width / kCount), kThreads, 0, stream_of(work)>>>(
                Matrix<const T>(in.up), Matrix<const T>(in.gate), Matrix<T>(y), rows,
                width / kCount);
        return launched();
      });
}

DeviceAnswer swiglu_backward(const SwigluInputs& in, const SwigluGradients& grads,
                             const DeviceWork& work) {
  const auto [rows, width] = in.up.size;
  if (rows * width == 0) return nullptr;
  return with_swiglu_types(
      in.up,
      all_in_vectors(per_vector(in.up), in.up, in.gate, grads.grad_y, grads.grad_up,
                     grads.grad_gate),
      [&, rows = rows, width = width]<typename T, int kCount>() {
        swiglu_backward_of<T, kCount>
            <<<blocks_for(rows * width / kCount), kThreads, 0, stream_of(work)>>>(
                Matrix<const T>(in.up), Matrix<const T>(in.gate), Matrix<const T>(grads.grad_y),
                Matrix<T>(grads.grad_up), Matrix<T>(grads.grad_gate), rows, width / kCount);
        return launched();
      });
}

}  // namespace adder::kernels::cuda
