// What forward and backward of the causal convolution share. A thread has kCount neighbouring
// channels of a strip of tokens, the last kWidth inputs in registers; the 32 threads of a warp have
// neighbouring channels of the same strip. "k back" means token t - k.
#pragma once

#include "adder/kernels/causal_conv1d.h"
#include "adder/kernels/cuda/fast_silu.cuh"
#include "adder/kernels/cuda/rows.cuh"

namespace adder::kernels::cuda {

/// (batch, rows, channels) with channels contiguous; null: not given.
template <typename T>
struct BatchRows {
  T* data = nullptr;
  int64_t batch_stride = 0, row_stride = 0;

  BatchRows() = default;
  explicit BatchRows(const View<3>& view)
      : data(static_cast<T*>(view.data)),
        batch_stride(view.stride[0]),
        row_stride(view.stride[1]) {}
  __device__ bool given() const { return data != nullptr; }
  __device__ T* at(int b, int row, int channel) const {
    return data + b * batch_stride + row * row_stride + channel;
  }
};

/// Division by a number that the host knows, as a multiplication.
class Divisor {
 public:
  explicit Divisor(int64_t divisor) : divisor_(static_cast<uint32_t>(divisor)) {
    while (int64_t{1} << shift_ < divisor) ++shift_;
    factor_ = static_cast<uint32_t>((((int64_t{1} << shift_) - divisor) << 32) / divisor + 1);
  }
  int64_t value() const { return divisor_; }
  /// For n < 2^31.
  __device__ __forceinline__ uint32_t divide(uint32_t n, uint32_t& rest) const {
    const uint32_t quotient = (__umulhi(n, factor_) + n) >> shift_;
    rest = n - quotient * divisor_;
    return quotient;
  }

 private:
  uint32_t divisor_, factor_;
  int shift_ = 0;
};

/// The inputs of a call and how it is cut into strips.
template <typename T>
struct ConvCall {
  BatchRows<T> x, initial;
  const float *weight, *bias;
  int64_t weight_channel_stride, weight_tap_stride, bias_stride;
  const int32_t* ids;
  int64_t ids_batch_stride, ids_stride;
  int batch, length, channels, width;
  bool silu;
  bool taps_in_fours;  // those of a channel in one load, and the bias of four channels
  int strip;           // tokens
  Divisor strips;      // in a row of the batch
  Divisor across;      // blocks of channels, kWarpSize vectors of `count` each

  ConvCall(const Conv1dInputs& in, int strip, int count)
      : x(in.x),
        initial(in.initial_state),
        weight(in.weight.as<float>()),
        bias(in.bias.as<float>()),
        weight_channel_stride(in.weight.stride[0]),
        weight_tap_stride(in.weight.stride[1]),
        bias_stride(in.bias.stride[0]),
        ids(in.seq_idx.as<int32_t>()),
        ids_batch_stride(in.seq_idx.stride[0]),
        ids_stride(in.seq_idx.stride[1]),
        batch(static_cast<int>(in.x.size[0])),
        length(static_cast<int>(in.x.size[1])),
        channels(static_cast<int>(in.x.size[2])),
        width(static_cast<int>(in.weight.size[1])),
        silu(in.silu),
        taps_in_fours(width == 4 && weight_tap_stride == 1 && in_vectors(in.weight, 4) &&
                      (!in.bias.given() || (bias_stride == 1 && in_vectors(in.bias, 4)))),
        strip(strip),
        strips(ceil_div(length, strip)),
        across(ceil_div(channels, kWarpSize * count)) {}
  __device__ int history() const { return width - 1; }
  int64_t all_strips() const { return batch * strips.value(); }
};

/// The strip and the first channel of a thread.
struct ConvPlace {
  int b, begin, end;  // row of the batch, tokens
  int channel;
  bool strip_exists;

  /// Strip `strip` of the batch, block `across` of channels.
  template <typename T>
  __device__ ConvPlace(const ConvCall<T>& call, int count, uint32_t strip, uint32_t across) {
    uint32_t of_row;
    b = static_cast<int>(call.strips.divide(strip, of_row));
    strip_exists = b < call.batch;
    begin = static_cast<int>(of_row) * call.strip;
    end = min(begin + call.strip, call.length);
    channel = static_cast<int>(across * kWarpSize + threadIdx.x % kWarpSize) * count;
  }
};

/// Documents of one row of the batch: one if there are no ids.
struct RowDocuments {
  const int32_t* ids;
  int64_t stride;
  int length, history;

  template <typename T>
  __device__ RowDocuments(const ConvCall<T>& call, int b)
      : ids(call.ids == nullptr ? nullptr : call.ids + b * call.ids_batch_stride),
        stride(call.ids_stride),
        length(call.length),
        history(call.history()) {}

  __device__ int id(int t) const { return ids == nullptr ? 0 : ids[t * stride]; }
  /// How many of the `history` tokens before t belong to its document; those before time 0 belong
  /// to the first.
  __device__ int reach(int t) const {
    for (int k = 0; k < history && t - k > 0; ++k)
      if (id(t - k) != id(t - k - 1)) return k;
    return history;
  }
  /// One past the last real token, 0 when there is none. All threads of a warp call this.
  __device__ int end() const {
    if (ids == nullptr) return length;
    for (int last = length; last > 0; last -= kWarpSize) {
      const int t = last - 1 - static_cast<int>(threadIdx.x % kWarpSize);
      const unsigned real = __ballot_sync(0xffffffffu, t >= 0 && id(max(t, 0)) >= 0);
      if (real != 0) return last - (__ffs(static_cast<int>(real)) - 1);
    }
    return 0;
  }
};

/// What of a row the final state is taken from: `history` tokens before `end`, the last `reach` + 1
/// of them in its document.
struct FinalTokens {
  int end = 0, history = 0, reach = -1;

  FinalTokens() = default;
  __device__ explicit FinalTokens(const RowDocuments& documents)
      : end(documents.end()),
        history(documents.history),
        reach(end > 0 ? documents.reach(end - 1) : documents.history) {}
  __device__ bool any_in(int first, int last) const { return first < end && last > end - history; }
  __device__ bool has(int tau) const {
    return tau < end && tau >= end - history && end - 1 - tau <= reach;
  }
};

/// How many tokens back the taps go, from one token to the next.
struct Reach {
  int last_id, reach, history;

  /// As of the token before t.
  __device__ Reach(const RowDocuments& documents, int t) : history(documents.history) {
    last_id = documents.id(max(t - 1, 0));
    reach = t == 0 ? history : documents.reach(t - 1);
  }
  __device__ void step(int id) {
    reach = id == last_id ? min(reach + 1, history) : 0;
    last_id = id;
  }
};

/// x of token tau, or what the initial state says it was; zero before that.
template <typename T, int kCount>
__device__ __forceinline__ Packed<T, kCount> load_token(const ConvCall<T>& call,
                                                        const ConvPlace& place, int tau) {
  if (tau >= 0) return load<T, kCount>(call.x.at(place.b, tau, place.channel));
  if (call.initial.given() && tau + call.history() >= 0)
    return load<T, kCount>(call.initial.at(place.b, tau + call.history(), place.channel));
  return {};
}

/// The weights by how far back they look, and the inputs there.
template <int kWidth, int kCount>
struct Taps {
  float weight[kWidth][kCount], bias[kCount], window[kWidth][kCount] = {};

  /// `in_fours`: call.taps_in_fours, or false.
  template <typename T>
  __device__ __forceinline__ Taps(const ConvCall<T>& call, const ConvPlace& place, bool in_fours) {
    if constexpr (kWidth == 4 && kCount == 4)
      in_fours ? read_fours(call, place) : read(call, place);
    else
      read(call, place);
  }

  /// As of the token before t.
  template <typename T>
  __device__ __forceinline__ void start(const ConvCall<T>& call, const ConvPlace& place, int t) {
#pragma unroll
    for (int k = 0; k + 1 < kWidth; ++k)
      unpack<T, kCount>(load_token<T, kCount>(call, place, t - 1 - k), window[k]);
  }
  template <typename T>
  __device__ __forceinline__ void push(const Packed<T, kCount>& packed) {
#pragma unroll
    for (int k = kWidth - 1; k > 0; --k)
#pragma unroll
      for (int i = 0; i < kCount; ++i) window[k][i] = window[k - 1][i];
    unpack<T, kCount>(packed, window[0]);
  }
  /// bias + sum of the taps up to `reach` tokens back.
  template <bool kMasked>
  __device__ __forceinline__ void convolve(int reach, float (&o)[kCount]) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) o[i] = bias[i];
#pragma unroll
    for (int k = kWidth - 1; k >= 0; --k) {
      if (kMasked && k > reach) continue;
#pragma unroll
      for (int i = 0; i < kCount; ++i) o[i] += weight[k][i] * window[k][i];
    }
  }

 private:
  template <typename T>
  __device__ __forceinline__ void read_fours(const ConvCall<T>& call, const ConvPlace& place) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      float taps[4];  // the oldest first
      unpack<float, 4>(
          load<float, 4>(call.weight + (place.channel + i) * call.weight_channel_stride), taps);
#pragma unroll
      for (int k = 0; k < kWidth; ++k) weight[k][i] = taps[3 - k];
      bias[i] = 0;
    }
    if (call.bias != nullptr)
      unpack<float, kCount>(load<float, kCount>(call.bias + place.channel), bias);
  }
  template <typename T>
  __device__ __forceinline__ void read(const ConvCall<T>& call, const ConvPlace& place) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int64_t channel = place.channel + i;
      const float* from = call.weight + channel * call.weight_channel_stride;
#pragma unroll
      for (int k = 0; k < kWidth; ++k)
        weight[k][i] = k < call.width ? from[(call.history() - k) * call.weight_tap_stride] : 0.0f;
      bias[i] = call.bias == nullptr ? 0.0f : call.bias[channel * call.bias_stride];
    }
  }
};

/// Calls body.template operator()<T, width, count, masked>(): widths 2 to 4 in vectors of kCount;
/// others, and what cannot be read in vectors, by a template for up to 8 taps whose idle ones are
/// masked as those of another document are.
template <int kCount, typename Body>
DeviceAnswer with_conv_types(const Conv1dInputs& in, bool vectors, const Body& body) {
  const auto with_type = [&]<typename T>() {
    const auto with_width = [&]<int width>() {
      return in.seq_idx.given() ? body.template operator()<T, width, kCount, true>()
                                : body.template operator()<T, width, kCount, false>();
    };
    switch (vectors ? in.weight.size[1] : 0) {
      case 2:
        return with_width.template operator()<2>();
      case 3:
        return with_width.template operator()<3>();
      case 4:
        return with_width.template operator()<4>();
      default:
        return body.template operator()<T, 8, 1, true>();
    }
  };
  return in.x.dtype == DType::bf16 ? with_type.template operator()<__nv_bfloat16>()
                                   : with_type.template operator()<float>();
}

}  // namespace adder::kernels::cuda
