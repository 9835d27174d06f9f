#include "adder/kernels/cuda/fast_silu.cuh"
#include "adder/kernels/cuda/functions.h"
#include "adder/kernels/cuda/norm_rows.cuh"

namespace adder::kernels::cuda {
namespace {

/// To a row, as measured: backward holds three rows of inputs.
constexpr int kGoodWarpsForward = 5, kGoodWarpsBackward = 2;

enum class Gate { kNone, kBeforeNorm, kAfterNorm };

/// v = x silu(z) with the gate before the norm, x otherwise.
template <typename T, Gate kGate, int kCount_, int kVectors_>
struct GatedNorm {
  static constexpr int kCount = kCount_, kVectors = kVectors_;
  RowArray<T> x, z, y;
  const float* weight;

  struct Row {
    float v[kVectors][kCount];
    Packed<T, kCount> z[kVectors];
  };

  __device__ __forceinline__ void load(Row& row, const RowPlace& place) const {
    Packed<T, kCount> x_packed[kVectors];
    load_row<T, kCount>(x, place, x_packed);
    if constexpr (kGate != Gate::kNone) load_row<T, kCount>(z, place, row.z);
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      unpack<T, kCount>(x_packed[k], row.v[k]);
      if constexpr (kGate == Gate::kBeforeNorm) multiply_by_gate(row.v[k], row.z[k]);
    }
  }

  static __device__ __forceinline__ void multiply_by_gate(float (&values)[kCount],
                                                          const Packed<T, kCount>& z_packed) {
    float gate[kCount];
    unpack<T, kCount>(z_packed, gate);
#pragma unroll
    for (int i = 0; i < kCount; ++i) values[i] *= fast_silu(gate[i]);
  }

  __device__ __forceinline__ void write(const Row& row, const RowPlace& place, float rho) const {
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      if (!place.has(k)) continue;
      float to[kCount];
      scale_by_weight(row.v[k], rho, weight + place.column(k), to);
      if constexpr (kGate == Gate::kAfterNorm) multiply_by_gate(to, row.z[k]);
      store<T, kCount>(y.at(place, k), to);
    }
  }
};

/// One element's terms: x, the gate silu(z) and its slope (1 and 0 without one), grad_y weight.
template <Gate kGate>
struct Terms {
  float x, weight, gate = 1, slope = 0, grad_yw;

  __device__ __forceinline__ Terms(float x, float z, float grad_y, float weight)
      : x(x), weight(weight), grad_yw(grad_y * weight) {
    if constexpr (kGate != Gate::kNone) {
      const float s = fast_sigmoid(z);
      gate = z * s;
      slope = silu_slope(z, s);
    }
  }
  __device__ __forceinline__ float v() const { return kGate == Gate::kBeforeNorm ? x * gate : x; }
  /// Gradient of n.
  __device__ __forceinline__ float g() const {
    return kGate == Gate::kAfterNorm ? grad_yw * gate : grad_yw;
  }
};

template <typename T, Gate kGate, int kCount_, int kVectors_>
struct GatedNormBackward {
  static constexpr int kCount = kCount_, kVectors = kVectors_;
  using Forward = GatedNorm<T, kGate, kCount, kVectors>;
  Forward forward;
  RowArray<T> grad_y, grad_x, grad_z;

  struct Row {
    Packed<T, kCount> x[kVectors], z[kVectors], grad_y[kVectors];
  };

  __device__ __forceinline__ void load(Row& row, const RowPlace& place) const {
    load_row<T, kCount>(forward.x, place, row.x);
    if constexpr (kGate != Gate::kNone) load_row<T, kCount>(forward.z, place, row.z);
    load_row<T, kCount>(grad_y, place, row.grad_y);
  }

  /// Calls body(i, terms of element i, its grad_y) for vector k.
  template <typename Body>
  __device__ __forceinline__ void each(const Row& row, const RowPlace& place, int k,
                                       const Body& body) const {
    float w[kCount], x[kCount], z[kCount] = {}, gy[kCount];
    load_weight(forward.weight + place.column(k), w);
    unpack<T, kCount>(row.x[k], x);
    if constexpr (kGate != Gate::kNone) unpack<T, kCount>(row.z[k], z);
    unpack<T, kCount>(row.grad_y[k], gy);
#pragma unroll
    for (int i = 0; i < kCount; ++i) body(i, Terms<kGate>(x[i], z[i], gy[i], w[i]), gy[i]);
  }

  __device__ __forceinline__ void add_sums(const Row& row, const RowPlace& place,
                                           float (&sums)[2]) const {
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      if (!place.has(k)) continue;
      each(row, place, k, [&](int, const Terms<kGate>& terms, float) {
        sums[0] += terms.v() * terms.v();
        sums[1] += terms.v() * terms.g();
      });
    }
  }

  __device__ __forceinline__ void write(const Row& row, const RowPlace& place, float rho,
                                        float mean, float (&grad_weight)[kVectors][kCount]) const {
#pragma unroll
    for (int k = 0; k < kVectors; ++k) {
      if (!place.has(k)) continue;
      float to_x[kCount], to_z[kCount], to_y[kCount];
      each(row, place, k, [&](int i, const Terms<kGate>& terms, float gy) {
        const float n = terms.v() * rho, grad_v = rho * (terms.g() - n * mean);
        const bool after = kGate == Gate::kAfterNorm;
        to_y[i] = n * terms.weight * (after ? terms.gate : 1.0f);
        to_x[i] = kGate == Gate::kBeforeNorm ? grad_v * terms.gate : grad_v;
        to_z[i] = (after ? terms.grad_yw * n : grad_v * terms.x) * terms.slope;
        grad_weight[k][i] += gy * n * (after ? terms.gate : 1.0f);
      });
      if (forward.y.given()) store<T, kCount>(forward.y.at(place, k), to_y);
      if (grad_x.given()) store<T, kCount>(grad_x.at(place, k), to_x);
      if (grad_z.given()) store<T, kCount>(grad_z.at(place, k), to_z);
    }
  }
};

/// The call's type, gate and vectors as constants: body.template operator()<T, gate, count,
/// vectors>(split).
template <typename Body>
DeviceAnswer with_types(const GatedRmsNormInputs& in, bool aligned, int good_warps,
                        const Body& body) {
  const auto with_count = [&]<typename T, int count>() {
    const RowSplit split = split_rows(in.x.size[0], in.group_size, in.x.size[1] / in.group_size,
                                      in.eps, count, good_warps);
    return with_vectors<count>(split, [&]<int vectors>() {
      if (!in.z.given()) return body.template operator()<T, Gate::kNone, count, vectors>(split);
      return in.norm_before_gate
                 ? body.template operator()<T, Gate::kAfterNorm, count, vectors>(split)
                 : body.template operator()<T, Gate::kBeforeNorm, count, vectors>(split);
    });
  };
  const auto with_type = [&]<typename T>() {
    return aligned ? with_count.template operator()<T, 16 / sizeof(T)>()
                   : with_count.template operator()<T, 1>();
  };
  return in.x.dtype == DType::bf16 ? with_type.template operator()<__nv_bfloat16>()
                                   : with_type.template operator()<float>();
}

template <typename T, Gate kGate, int kCount, int kVectors>
GatedNorm<T, kGate, kCount, kVectors> forward_of(const GatedRmsNormInputs& in, const View<2>& y) {
  return {RowArray<T>(in.x), RowArray<T>(in.z), RowArray<T>(y), in.weight.as<float>()};
}

/// Can these be read in vectors of 16 bytes of x's type?
template <typename... Views>
bool aligned(const GatedRmsNormInputs& in, const Views&... views) {
  const int64_t count = 16 / size_of(in.x.dtype);
  return in.group_size % count == 0 && all_in_vectors(count, in.x, in.z, in.weight, views...);
}

}  // namespace

DeviceAnswer gated_rms_norm(const GatedRmsNormInputs& in, const View<2>& y,
                            const DeviceWork& work) {
  if (in.weight.stride[0] != 1) return "gated_rms_norm: weight is not contiguous";
  if (in.x.size[0] == 0 || in.x.size[1] == 0) return nullptr;
  return with_types(in, aligned(in, y), kGoodWarpsForward,
                    [&]<typename T, Gate gate, int count, int vectors>(const RowSplit& split) {
                      return run_forward(forward_of<T, gate, count, vectors>(in, y), split, work);
                    });
}

DeviceAnswer gated_rms_norm_backward(const GatedRmsNormInputs& in,
                                     const GatedRmsNormGradients& grads, const DeviceWork& work) {
  if (in.weight.stride[0] != 1) return "gated_rms_norm_backward: weight is not contiguous";
  if (in.x.size[1] == 0) return nullptr;
  return with_types(
      in, aligned(in, grads.grad_y, grads.grad_x, grads.grad_z, grads.normed), kGoodWarpsBackward,
      [&]<typename T, Gate gate, int count, int vectors>(const RowSplit& split) {
        const GatedNormBackward<T, gate, count, vectors> norm{
            forward_of<T, gate, count, vectors>(in, grads.normed), RowArray<T>(grads.grad_y),
            RowArray<T>(grads.grad_x), RowArray<T>(grads.grad_z)};
        return run_backward(norm, split, grads.grad_weight, work);
      });
}

}  // namespace adder::kernels::cuda
