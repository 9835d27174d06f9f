#include "adder/kernels/cuda/conv_strip.cuh"
#include "adder/kernels/cuda/functions.h"

namespace adder::kernels::cuda {
namespace {

constexpr int kWarps = 4;  // of a block: small ones come and go without waiting for each other
/// Tokens of a thread: few, so that a block is done soon after its inputs came, the device has an
/// even end, and all inputs are under way at once in registers.
constexpr int kTokens = 8;
constexpr int kCount = 4;
/// Blocks of a multiprocessor, for which registers are set aside.
template <typename T>
constexpr int kBlocks = sizeof(T) == 2 ? 7 : 5;

/// The last inputs of the row's last document, by the row's first strip: early.
template <typename T, int kCount>
__device__ void write_final_state(const ConvCall<T>& call, const BatchRows<T>& final_state,
                                  const ConvPlace& place) {
  if (!final_state.given() || place.begin != 0) return;
  const FinalTokens tokens(RowDocuments(call, place.b));
  if (place.channel >= call.channels) return;
  for (int j = 0; j < call.history(); ++j) {
    const int tau = tokens.end - call.history() + j;
    float value[kCount] = {};
    if (tokens.has(tau)) unpack<T, kCount>(load_token<T, kCount>(call, place, tau), value);
    store<T, kCount>(final_state.at(place.b, j, place.channel), value);
  }
}

/// A strip and the kWidth - 1 tokens before it, all under way at once. kInside: all of them are
/// tokens of the row.
template <typename T, int kWidth, int kCount>
struct StripInputs {
  static constexpr int kBefore = kWidth - 1;
  Packed<T, kCount> before[kBefore > 0 ? kBefore : 1], own[kTokens];

  template <bool kInside>
  __device__ __forceinline__ void ask(const ConvCall<T>& call, const ConvPlace& place) {
    const T* from = call.x.at(place.b, place.begin - kBefore, place.channel);
#pragma unroll
    for (int i = 0; i < kBefore; ++i, from += call.x.row_stride)
      before[i] = kInside ? load_once<T, kCount>(from)
                          : load_token<T, kCount>(call, place, place.begin - kBefore + i);
#pragma unroll
    for (int t = 0; t < kTokens; ++t, from += call.x.row_stride) {
      own[t] = {};
      if (kInside || place.begin + t < place.end) own[t] = load_once<T, kCount>(from);
    }
  }
};

/// The outputs of a strip. kInside: what a model calls, without branches.
template <typename T, int kWidth, int kCount, bool kMasked, bool kSilu, bool kInside>
__device__ __forceinline__ void convolve_strip(const ConvCall<T>& call, const BatchRows<T>& y,
                                               const ConvPlace& place) {
  StripInputs<T, kWidth, kCount> x;
  x.template ask<kInside>(call, place);
  Taps<kWidth, kCount> taps(call, place, kInside);
#pragma unroll
  for (int i = 0; i + 1 < kWidth; ++i) taps.template push<T>(x.before[i]);
  const RowDocuments documents(call, place.b);
  Reach reach(documents, place.begin);
  T* to = y.at(place.b, place.begin, place.channel);
#pragma unroll
  for (int t = 0; t < kTokens; ++t, to += y.row_stride) {
    if (!kInside && place.begin + t >= place.end) break;
    const int id = kMasked ? documents.id(place.begin + t) : 0;
    if (kMasked) reach.step(id);
    taps.template push<T>(x.own[t]);
    float o[kCount];
    taps.template convolve<kMasked>(reach.reach, o);
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (kSilu) o[i] = fast_silu(o[i]);
      if (id < 0) o[i] = 0;
    }
    store_once<T, kCount>(to, o);
  }
}

template <typename T, int kWidth, int kCount, bool kMasked>
__global__ void __launch_bounds__(kWarps* kWarpSize, kBlocks<T>)
    conv_forward(const ConvCall<T> call, const BatchRows<T> y, const BatchRows<T> final_state) {
  // Blocks of channels lie beside each other, then strips: neighbours in memory run together.
  const uint32_t warp = blockIdx.x * kWarps + threadIdx.x / kWarpSize;
  uint32_t across;
  const uint32_t strip = call.across.divide(warp, across);
  const ConvPlace place(call, kCount, strip, across);
  if (!place.strip_exists) return;
  write_final_state<T, kCount>(call, final_state, place);
  if (place.channel >= call.channels) return;
  const bool inside = place.begin >= kWidth - 1 && place.end - place.begin == kTokens &&
                      (call.taps_in_fours || kWidth != 4);
  if (call.silu && inside)
    convolve_strip<T, kWidth, kCount, kMasked, true, true>(call, y, place);
  else if (call.silu)
    convolve_strip<T, kWidth, kCount, kMasked, true, false>(call, y, place);
  else
    convolve_strip<T, kWidth, kCount, kMasked, false, false>(call, y, place);
}

}  // namespace

DeviceAnswer causal_conv1d(const Conv1dInputs& in, const Conv1dOutputs& out,
                           const DeviceWork& work) {
  if (in.x.size[0] == 0 || in.x.size[1] == 0 || in.x.size[2] == 0) return nullptr;
  const bool vectors = all_in_vectors(kCount, in.x, in.initial_state, out.y, out.final_state);
  return with_conv_types<kCount>(in, vectors, [&]<typename T, int width, int count, bool masked>() {
    const auto kernel = conv_forward<T, width, count, masked>;
    const ConvCall<T> call(in, kTokens, count);
    const int64_t warps = call.all_strips() * call.across.value();
    kernel<<<static_cast<uint32_t>(ceil_div(warps, kWarps)), kWarps * kWarpSize, 0,
             stream_of(work)>>>(call, BatchRows<T>(out.y), BatchRows<T>(out.final_state));
    return launched();
  });
}

}  // namespace adder::kernels::cuda
