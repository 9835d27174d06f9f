#include <algorithm>

#include "adder/kernels/cuda/functions.h"
#include "adder/kernels/cuda/norm_rows.cuh"

namespace adder::kernels::cuda {
namespace {

constexpr int kGoodWarps = 5;  // to a row, as measured

/// x of type T, the residual stream of type R: v = r = x + residual.
template <typename T, typename R, int kCount_, int kVectors_>
struct RmsNorm {
  static constexpr int kCount = kCount_, kVectors = kVectors_;
  RowArray<T> x, y;
  RowArray<R> residual, new_residual;
  const float* weight;

  struct Row {
    float v[kVectors][kCount];
  };

  __device__ __forceinline__ void load(Row& row, const RowPlace& place) const {
    Packed<T, kCount> x_packed[kVectors];
    Packed<R, kCount> residual_packed[kVectors];
    load_row<T, kCount>(x, place, x_packed);
    load_row<R, kCount>(residual, place, residual_packed);
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      float added[kCount];
      unpack<T, kCount>(x_packed[k], row.v[k]);
      unpack<R, kCount>(residual_packed[k], added);
#pragma unroll
      for (int i = 0; i < kCount; ++i) row.v[k][i] += added[i];
    }
  }

  __device__ __forceinline__ void write(const Row& row, const RowPlace& place, float rho) const {
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      if (!place.has(k)) continue;
      float to[kCount];
      scale_by_weight(row.v[k], rho, weight + place.column(k), to);
      if (new_residual.given()) store<R, kCount>(new_residual.at(place, k), row.v[k]);
      store<T, kCount>(y.at(place, k), to);
    }
  }
};

/// g = grad_y weight; grad_r = grad_v + grad_new_residual.
template <typename T, typename R, int kCount_, int kVectors_>
struct RmsNormBackward {
  static constexpr int kCount = kCount_, kVectors = kVectors_;
  using Forward = RmsNorm<T, R, kCount, kVectors>;
  Forward forward;
  RowArray<T> grad_y, grad_x;
  RowArray<R> grad_new_residual, grad_residual;

  struct Row {
    typename Forward::Row in;
    Packed<T, kCount> grad_y[kVectors];
    Packed<R, kCount> grad_new_residual[kVectors];
  };

  __device__ __forceinline__ void load(Row& row, const RowPlace& place) const {
    load_row<T, kCount>(grad_y, place, row.grad_y);
    load_row<R, kCount>(grad_new_residual, place, row.grad_new_residual);
    forward.load(row.in, place);
  }

  __device__ __forceinline__ void add_sums(const Row& row, const RowPlace& place,
                                           float (&sums)[2]) const {
    sums[0] += sum_of_squares(row.in.v);
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      if (!place.has(k)) continue;
      float w[kCount], gy[kCount];
      load_weight(forward.weight + place.column(k), w);
      unpack<T, kCount>(row.grad_y[k], gy);
#pragma unroll
      for (int i = 0; i < kCount; ++i) sums[1] += row.in.v[k][i] * (gy[i] * w[i]);
    }
  }

  __device__ __forceinline__ void write(const Row& row, const RowPlace& place, float rho,
                                        float mean, float (&grad_weight)[kVectors][kCount]) const {
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      if (!place.has(k)) continue;
      float w[kCount], gy[kCount], grad_r[kCount];
      load_weight(forward.weight + place.column(k), w);
      unpack<T, kCount>(row.grad_y[k], gy);
      unpack<R, kCount>(row.grad_new_residual[k], grad_r);
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const float n = row.in.v[k][i] * rho;
        grad_r[i] += rho * (gy[i] * w[i] - n * mean);
        grad_weight[k][i] += gy[i] * n;
      }
      if (grad_x.given()) store<T, kCount>(grad_x.at(place, k), grad_r);
      if (grad_residual.given()) store<R, kCount>(grad_residual.at(place, k), grad_r);
    }
  }
};

template <typename T, typename R, int kCount, int kVectors>
RmsNorm<T, R, kCount, kVectors> forward_of(const RmsNormInputs& in, const RmsNormOutputs& out) {
  return {RowArray<T>(in.x), RowArray<T>(out.y), RowArray<R>(in.residual),
          RowArray<R>(out.new_residual), in.weight.as<float>()};
}

/// Elements in a vector: 16 bytes of the wider type.
constexpr int64_t vector_of(int64_t x_size, int64_t residual_size) {
  return 16 / std::max(x_size, residual_size);
}

/// The call's types and vectors as constants: body.template operator()<T, R, count,
/// vectors>(split). `y`, or its gradient: of x's size and type.
template <typename Body>
DeviceAnswer with_types(const View<2>& y, double eps, DType residual, bool aligned,
                        const Body& body) {
  const auto with_count = [&]<typename T, typename R, int count>() {
    const RowSplit split = split_rows(y.size[0], y.size[1], 1, eps, count, kGoodWarps);
    return with_vectors<count>(split, [&]<int vectors>() {
      return body.template operator()<T, R, count, vectors>(split);
    });
  };
  const auto with_type = [&]<typename T, typename R>() {
    return aligned ? with_count.template operator()<T, R, vector_of(sizeof(T), sizeof(R))>()
                   : with_count.template operator()<T, R, 1>();
  };
  using bf16 = __nv_bfloat16;
  if (y.dtype == DType::bf16)
    return residual == DType::bf16 ? with_type.template operator()<bf16, bf16>()
                                   : with_type.template operator()<bf16, float>();
  return residual == DType::bf16 ? with_type.template operator()<float, bf16>()
                                 : with_type.template operator()<float, float>();
}

/// The type of the residual stream: that of whatever of it was given, which must agree.
template <typename... Views>
DType residual_type(DType otherwise, const Views&... views) {
  DType type = otherwise;
  ((type = views.given() ? views.dtype : type), ...);
  return type;
}

template <typename... Views>
bool all_of_type(DType type, const Views&... views) {
  return ((!views.given() || views.dtype == type) && ...);
}

}  // namespace

DeviceAnswer rms_norm(const RmsNormInputs& in, const RmsNormOutputs& out, const DeviceWork& work) {
  const DType stream = residual_type(in.x.dtype, in.residual, out.new_residual);
  if (!all_of_type(stream, in.residual, out.new_residual))
    return "rms_norm: residual and new_residual differ in type";
  if (in.weight.stride[0] != 1) return "rms_norm: weight is not contiguous";
  if (in.x.size[0] == 0 || in.x.size[1] == 0) return nullptr;
  const int64_t count = vector_of(size_of(in.x.dtype), size_of(stream));
  const bool aligned = all_in_vectors(count, in.x, in.weight, in.residual, out.y, out.new_residual);
  return with_types(out.y, in.eps, stream, aligned,
                    [&]<typename T, typename R, int count, int vectors>(const RowSplit& split) {
                      return run_forward(forward_of<T, R, count, vectors>(in, out), split, work);
                    });
}

DeviceAnswer rms_norm_backward(const RmsNormInputs& in, const RmsNormGradients& grads,
                               const DeviceWork& work) {
  const DType stream =
      residual_type(grads.grad_y.dtype, in.residual, grads.grad_new_residual, grads.grad_residual);
  if (!all_of_type(stream, in.residual, grads.grad_new_residual, grads.grad_residual))
    return "rms_norm_backward: the residual and its gradients differ in type";
  if (in.weight.stride[0] != 1) return "rms_norm_backward: weight is not contiguous";
  if (grads.grad_y.size[1] == 0) return nullptr;
  const int64_t count = vector_of(size_of(grads.grad_y.dtype), size_of(stream));
  const bool aligned = all_in_vectors(count, in.x, in.weight, in.residual, grads.grad_y,
                                      grads.grad_new_residual, grads.grad_x, grads.grad_residual);
  return with_types(grads.grad_y, in.eps, stream, aligned,
                    [&]<typename T, typename R, int count, int vectors>(const RowSplit& split) {
                      const RmsNormBackward<T, R, count, vectors> norm{
                          forward_of<T, R, count, vectors>(in, {}), RowArray<T>(grads.grad_y),
                          RowArray<T>(grads.grad_x), RowArray<R>(grads.grad_new_residual),
                          RowArray<R>(grads.grad_residual)};
                      return run_backward(norm, split, grads.grad_weight, work);
                    });
}

}  // namespace adder::kernels::cuda
