#include "adder/kernels/cuda/conv_strip.cuh"
#include "adder/kernels/cuda/functions.h"

namespace adder::kernels::cuda {
namespace {

constexpr int kWarps = 4;   // of a block
constexpr int kRows = 8;    // under way while one is worked on
constexpr int kStrip = 32;  // tokens, about
constexpr int kCount32 = 4, kCount16 = 4;
/// Blocks of a multiprocessor, for which registers are set aside.
template <typename T>
constexpr int kBlocks = sizeof(T) == 2 ? 7 : 5;

/// The last inputs of the row's last document, by the row's last strip.
template <typename T, int kCount>
__device__ void write_final_state(const ConvCall<T>& call, const TokenRows<T>& final_state,
                                  const ConvPlace& place) {
  if (!final_state.given() || place.end != call.length) return;
  const FinalTokens tokens(Documents(call, place.b));
  if (place.channel >= call.channels) return;
  for (int j = 0; j < call.history(); ++j) {
    const int tau = tokens.end - call.history() + j;
    float value[kCount] = {};
    if (tokens.has(tau)) load_token(call, place, tau, value);
    store<T, kCount>(final_state.at(place.b, j, place.channel), value);
  }
}

/// Walks along the strip, kRows tokens a round. In a whole round every token is in the strip, and
/// so are those of the next round.
template <typename T, int kWidth, int kCount, bool kMasked, bool kSilu>
struct ForwardWalk {
  const ConvPlace& place;
  RowStreams<T, kCount, kRows, 1> rows;
  Taps<kWidth, kCount> taps;
  Documents documents;
  Reach reach;
  T* to;
  int64_t to_stride;

  __device__ __forceinline__ ForwardWalk(const ConvCall<T>& call, const TokenRows<T>& y,
                                         const ConvPlace& place)
      : place(place),
        rows({call.x}, place, place.end),
        taps(call, place),
        documents(call, place.b),
        reach(documents, place.begin),
        to(y.at(place.b, place.begin, place.channel)),
        to_stride(y.row_stride) {
    taps.start(call, place, place.begin);
  }

  template <bool kWhole>
  __device__ __forceinline__ void round(int first) {
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const bool real = kWhole || first + r < place.end;
      const int id = kMasked && real ? documents.id(first + r) : 0;
      if (kMasked) reach.step(id);
      Packed<T, kCount> x[1];
      rows.take(r, real, kWhole || first + r + kRows < place.end, x);
      taps.template push<T>(x[0]);
      float o[kCount];
      taps.template convolve<kMasked>(reach.reach, o);
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        if (kSilu) o[i] = silu(o[i]);
        if (id < 0) o[i] = 0;
      }
      if (real) store<T, kCount>(to, o);
      to += to_stride;
    }
  }
  __device__ __forceinline__ void run() {
    int first = place.begin;
    for (; first + 2 * kRows <= place.end; first += kRows) round<true>(first);
    for (; first < place.end; first += kRows) round<false>(first);
  }
};

template <typename T, int kWidth, int kCount, bool kMasked>
__global__ void __launch_bounds__(kWarps* kWarp, kBlocks<T>)
    conv_forward(const ConvCall<T> call, const TokenRows<T> y, const TokenRows<T> final_state) {
  const ConvPlace place(call, kCount);
  if (!place.strip_exists) return;
  write_final_state<T, kCount>(call, final_state, place);
  if (place.channel >= call.channels) return;
  if (call.silu)
    ForwardWalk<T, kWidth, kCount, kMasked, true>(call, y, place).run();
  else
    ForwardWalk<T, kWidth, kCount, kMasked, false>(call, y, place).run();
}

}  // namespace

DeviceAnswer causal_conv1d(const Conv1dInputs& in, const Conv1dOutputs& out,
                           const DeviceWork& work) {
  if (in.x.size[0] == 0 || in.x.size[1] == 0 || in.x.size[2] == 0) return nullptr;
  const int64_t vector = in.x.dtype == DType::bf16 ? kCount16 : kCount32;
  const bool vectors = all_in_vectors(vector, in.x, in.initial_state, out.y, out.final_state);
  return with_conv_types<kCount32, kCount16>(
      in, vectors, [&]<typename T, int width, int count, bool masked>() {
        const auto kernel = conv_forward<T, width, count, masked>;
        const int64_t ring = RowStreams<T, count, kRows, 1>::ring_bytes(kWarps * kWarp);
        const int64_t at_once = blocks_at_once(kernel, kWarps * kWarp, ring) * kWarps;
        const ConvCall<T> call(in, strip_for(in, count, kStrip, at_once));
        kernel<<<conv_blocks(call, count, kWarps), kWarps * kWarp, ring, stream_of(work)>>>(
            call, TokenRows<T>(out.y), TokenRows<T>(out.final_state));
        return launched();
      });
}

}  // namespace adder::kernels::cuda
