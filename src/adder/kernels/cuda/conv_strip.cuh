// What forward and backward of the causal convolution share. A thread has kCount neighbouring
// channels of a strip of tokens and walks along it, the last kWidth inputs in registers; the 32
// threads of a warp have neighbouring channels of the same strip. "k back" means token t - k.
#pragma once

#include <algorithm>

#include "adder/kernels/causal_conv1d.h"
#include "adder/kernels/cuda/rows.cuh"

namespace adder::kernels::cuda {

/// (batch, rows, channels) with channels contiguous; null: not given.
template <typename T>
struct TokenRows {
  T* data = nullptr;
  int64_t batch_stride = 0, row_stride = 0;

  TokenRows() = default;
  explicit TokenRows(const View<3>& view)
      : data(static_cast<T*>(view.data)),
        batch_stride(view.stride[0]),
        row_stride(view.stride[1]) {}
  __device__ bool given() const { return data != nullptr; }
  __device__ T* at(int b, int row, int channel) const {
    return data + b * batch_stride + row * row_stride + channel;
  }
};

/// The inputs of a call and how it is cut into strips.
template <typename T>
struct ConvCall {
  TokenRows<T> x, initial;
  const float *weight, *bias;
  int64_t weight_channel_stride, weight_tap_stride, bias_stride;
  const int32_t* ids;
  int64_t ids_batch_stride, ids_stride;
  int batch, length, channels, width;
  bool silu, weight_in_fours;
  int strip;        // tokens
  uint32_t strips;  // in a row of the batch

  ConvCall(const Conv1dInputs& in, int strip)
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
        weight_in_fours(width == 4 && weight_tap_stride == 1 && in_vectors(in.weight, 4)),
        strip(strip),
        strips((length + strip - 1) / strip) {}
  __device__ int history() const { return width - 1; }
};

/// The strip and the first channel of a thread.
struct ConvPlace {
  int b, begin, end;  // row of the batch, tokens
  int channel;
  bool strip_exists;

  /// Blocks of channels lie beside each other, then strips: neighbours in memory run together.
  template <typename T>
  __device__ ConvPlace(const ConvCall<T>& call, int count) {
    const uint32_t across = (call.channels + kWarp * count - 1) / (kWarp * count);
    const uint32_t strip = blockIdx.x / across * (blockDim.x / kWarp) + threadIdx.x / kWarp;
    b = static_cast<int>(strip / call.strips);
    strip_exists = b < call.batch;
    begin = static_cast<int>(strip % call.strips) * call.strip;
    end = min(begin + call.strip, call.length);
    channel = static_cast<int>(blockIdx.x % across * kWarp + threadIdx.x % kWarp) * count;
  }
};

/// Documents of one row of the batch: one if there are no ids.
struct Documents {
  const int32_t* ids;
  int64_t stride;
  int length, history;

  template <typename T>
  __device__ Documents(const ConvCall<T>& call, int b)
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
    for (int last = length; last > 0; last -= kWarp) {
      const int t = last - 1 - static_cast<int>(threadIdx.x % kWarp);
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
  __device__ explicit FinalTokens(const Documents& documents)
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
  __device__ Reach(const Documents& documents, int t) : history(documents.history) {
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
__device__ __forceinline__ void load_token(const ConvCall<T>& call, const ConvPlace& place, int tau,
                                           float (&to)[kCount]) {
  Packed<T, kCount> packed = {};
  if (tau >= 0)
    packed = load<T, kCount>(call.x.at(place.b, tau, place.channel));
  else if (call.initial.given() && tau + call.history() >= 0)
    packed = load<T, kCount>(call.initial.at(place.b, tau + call.history(), place.channel));
  unpack<T, kCount>(packed, to);
}

/// The rows of kStreams arrays from the first token of a strip on. kRows rows of each are under way
/// while one is worked on: they come by asynchronous copies to a ring in shared memory, in which
/// each thread has places of its own, so that threads need not wait for each other.
template <typename T, int kCount, int kRows, int kStreams>
struct RowStreams {
  using Word = Packed<T, kCount>;
  const T* from[kStreams];  // of the row to be asked for next
  int64_t stride[kStreams];
  Word* ring;

  static int64_t ring_bytes(int threads) {
    return int64_t{kRows} * kStreams * threads * static_cast<int64_t>(sizeof(Word));
  }
  __device__ __forceinline__ RowStreams(const TokenRows<T> (&rows)[kStreams],
                                        const ConvPlace& place, int limit) {
    extern __shared__ uint4 shared[];
    ring = reinterpret_cast<Word*>(shared) + threadIdx.x;
#pragma unroll
    for (int i = 0; i < kStreams; ++i) {
      from[i] = rows[i].at(place.b, place.begin, place.channel);
      stride[i] = rows[i].row_stride;
    }
#pragma unroll
    for (int r = 0; r < kRows; ++r) ask(r, place.begin + r < limit);
  }
  /// Row r of this round, zero if it is not `real`; its place takes row r of the next round if
  /// there are `more`.
  __device__ __forceinline__ void take(int r, bool real, bool more, Word (&to)[kStreams]) {
    asm volatile("cp.async.wait_group %0;" ::"n"(kRows - 1) : "memory");
#pragma unroll
    for (int i = 0; i < kStreams; ++i) {
      to[i] = {};
      if (real) to[i] = *place_of(r, i);
    }
    ask(r, more);
  }

 private:
  __device__ __forceinline__ Word* place_of(int r, int i) const {
    return ring + (r * kStreams + i) * static_cast<int>(blockDim.x);
  }
  __device__ __forceinline__ void ask(int r, bool wanted) {
#pragma unroll
    for (int i = 0; i < kStreams; ++i) {
      if (wanted) copy(place_of(r, i), from[i]);
      from[i] += stride[i];
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  static __device__ __forceinline__ void copy(Word* to, const T* source) {
    const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
    if constexpr (sizeof(Word) == 16)
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(source)
                   : "memory");
    else if constexpr (sizeof(Word) >= 4)
      asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(address), "l"(source),
                   "n"(sizeof(Word))
                   : "memory");
    else
      *to = load<T, kCount>(source);
  }
};

/// The weights by how far back they look, and the inputs there.
template <int kWidth, int kCount>
struct Taps {
  float weight[kWidth][kCount], bias[kCount], window[kWidth][kCount];

  template <typename T>
  __device__ __forceinline__ Taps(const ConvCall<T>& call, const ConvPlace& place) {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      const int64_t channel = place.channel + i;
      const float* from = call.weight + channel * call.weight_channel_stride;
      if (kWidth == 4 && call.weight_in_fours) {
        const float4 four = *reinterpret_cast<const float4*>(from);
        weight[3][i] = four.x, weight[2][i] = four.y;
        weight[1][i] = four.z, weight[0][i] = four.w;
      } else {
#pragma unroll
        for (int k = 0; k < kWidth; ++k)
          weight[k][i] =
              k < call.width ? from[(call.history() - k) * call.weight_tap_stride] : 0.0f;
      }
      bias[i] = call.bias == nullptr ? 0.0f : call.bias[channel * call.bias_stride];
    }
  }

  /// As of the token before t.
  template <typename T>
  __device__ __forceinline__ void start(const ConvCall<T>& call, const ConvPlace& place, int t) {
#pragma unroll
    for (int k = 0; k + 1 < kWidth; ++k) load_token(call, place, t - 1 - k, window[k]);
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
};

/// Calls body.template operator()<T, width, count, masked>(): widths 2 to 4 in vectors; the others,
/// and what cannot be read in vectors, by a template for up to 8 taps whose idle ones are masked as
/// those of another document are.
template <int kCount32, int kCount16, typename Body>
DeviceAnswer with_conv_types(const Conv1dInputs& in, bool vectors, const Body& body) {
  const auto with_type = [&]<typename T, int vector>() {
    const auto with_width = [&]<int width>() {
      return in.seq_idx.given() ? body.template operator()<T, width, vector, true>()
                                : body.template operator()<T, width, vector, false>();
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
  return in.x.dtype == DType::bf16 ? with_type.template operator()<__nv_bfloat16, kCount16>()
                                   : with_type.template operator()<float, kCount32>();
}

/// How many blocks of this many threads the device runs at once.
template <typename Kernel>
int64_t blocks_at_once(Kernel kernel, int threads, int64_t shared_bytes) {
  int device = 0, processors = 0, of_processor = 0;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  cudaOccupancyMaxActiveBlocksPerMultiprocessor(&of_processor, kernel, threads, shared_bytes);
  return std::max(1, processors * of_processor);
}

/// Tokens in a strip, about `wanted`, such that the strips fill the device a whole number of times;
/// fewer where that would leave it idle. `warps_at_once`: strips of one block of channels that run.
inline int strip_for(const Conv1dInputs& in, int count, int wanted, int64_t warps_at_once) {
  constexpr int64_t kLeast = 8;
  const int64_t length = in.x.size[1];
  const int64_t across = ceil_div(in.x.size[2], int64_t{kWarp} * count) * in.x.size[0];
  const int64_t rounds = ceil_div(across * ceil_div(length, int64_t{wanted}), warps_at_once);
  const int64_t strips = std::max<int64_t>(1, rounds * warps_at_once / across);
  return static_cast<int>(std::max(kLeast, ceil_div(length, strips)));
}

/// Blocks of `warps` strips each.
template <typename T>
uint32_t conv_blocks(const ConvCall<T>& call, int count, int warps) {
  const int64_t strips = int64_t{call.batch} * call.strips;
  return static_cast<uint32_t>(ceil_div(strips, warps) *
                               ceil_div(call.channels, int64_t{kWarp} * count));
}

}  // namespace adder::kernels::cuda
