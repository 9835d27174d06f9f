#include "adder/kernels/cuda/column_sums.h"
#include "adder/kernels/cuda/conv_streams.cuh"
#include "adder/kernels/cuda/functions.h"

namespace adder::kernels::cuda {
namespace {

constexpr int kWarps = 8;    // of a block
constexpr int kRows = 4;     // of each input under way while one is worked on
constexpr int kStrip = 128;  // tokens, about
constexpr int kCount = 4;
/// Blocks of a multiprocessor, for which registers are set aside.
template <typename T>
constexpr int kBlocks = sizeof(T) == 2 ? 2 : 1;

/// With g[t] the gradient of o[t] (before SiLU):
///   grad_x[tau] = sum_k weight[k back] g[tau + k]      grad_weight[k back] = sum_t g[t] x~[t - k]
/// Both over pairs within one document. A strip adds the g of its own tokens to the sums; those of
/// the kWidth - 1 tokens after it, which its last inputs reach, it computes once more.
template <typename T>
struct ConvGradients {
  BatchRows<T> grad_y, grad_final, grad_x, grad_initial;
  float* partials;  // (blocks along strips, width + 1, channels): by k back, then the bias
};

/// Sums over a thread's strip.
template <int kWidth, int kCount>
struct StripSums {
  float weight[kWidth][kCount] = {}, bias[kCount] = {};

  __device__ __forceinline__ void add(const Taps<kWidth, kCount>& taps, int reach,
                                      const float (&g)[kCount]) {
#pragma unroll
    for (int k = 0; k < kWidth; ++k) {
      if (k > reach) continue;
#pragma unroll
      for (int i = 0; i < kCount; ++i) weight[k][i] += taps.window[k][i] * g[i];
    }
#pragma unroll
    for (int i = 0; i < kCount; ++i) bias[i] += g[i];
  }
};

/// The gradients of the inputs under the window, which g of later tokens still adds to.
template <int kWidth, int kCount>
struct PendingGradients {
  float at[kWidth][kCount] = {};

  __device__ __forceinline__ void push(const Taps<kWidth, kCount>& taps, int reach,
                                       const float (&g)[kCount]) {
#pragma unroll
    for (int k = kWidth - 1; k >= 0; --k)
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const float before = k > 0 ? at[k > 0 ? k - 1 : 0][i] : 0.0f;
        at[k][i] = k <= reach ? before + taps.weight[k][i] * g[i] : before;
      }
  }
};

/// g of the token that the window ends with; zero for padding.
template <typename T, int kWidth, int kCount, bool kMasked, bool kSilu>
__device__ __forceinline__ void gradient_of_sum(const Taps<kWidth, kCount>& taps, bool real,
                                                int reach, const Packed<T, kCount>& grad_y,
                                                float (&g)[kCount]) {
  float o[kCount];
  unpack<T, kCount>(grad_y, g);
  if (kSilu) taps.template convolve<kMasked>(reach, o);
#pragma unroll
  for (int i = 0; i < kCount; ++i) {
    if (kSilu) g[i] *= silu_slope(o[i], fast_sigmoid(o[i]));
    if (!real) g[i] = 0;
  }
}

/// Adds what comes to x~[tau] through the final state.
template <typename T, int kCount>
__device__ __forceinline__ void add_final(const BatchRows<T>& grad_final, const ConvPlace& place,
                                          const FinalTokens& tokens, int tau,
                                          float (&grad)[kCount]) {
  if (!tokens.has(tau)) return;
  const int j = tau - tokens.end + tokens.history;
  float more[kCount];
  unpack<T, kCount>(load<T, kCount>(grad_final.at(place.b, j, place.channel)), more);
#pragma unroll
  for (int i = 0; i < kCount; ++i) grad[i] += more[i];
}

/// The gradient of the initial state, which the first strip meets before its first token.
template <typename T, int kCount>
__device__ __forceinline__ void store_initial(const ConvCall<T>& call,
                                              const BatchRows<T>& grad_initial,
                                              const ConvPlace& place, int tau,
                                              const float (&grad)[kCount]) {
  const int j = tau + call.history();
  if (place.begin == 0 && tau < 0 && j >= 0 && grad_initial.given())
    store<T, kCount>(grad_initial.at(place.b, j, place.channel), grad);
}

/// Walks along the strip and kWidth - 1 tokens further, kRows tokens a round. In a whole round
/// every token is in the strip, so are those of the next round, and each completes a gradient of
/// the strip to which nothing comes through the final state.
template <typename T, int kWidth, int kCount, bool kMasked, bool kSilu>
struct BackwardWalk {
  static constexpr int kLag = kWidth - 1;  // tokens from a g to the last gradient that it completes
  const ConvCall<T>& call;
  const ConvGradients<T>& grads;
  const ConvPlace& place;
  const FinalTokens& tokens;  // none if no gradient comes through the final state
  const int stop, limit;
  RowStreams<T, kCount, kRows, 2> rows;  // of x and grad_y
  Taps<kWidth, kCount> taps;
  PendingGradients<kWidth, kCount> pending;
  RowDocuments documents;
  Reach reach;
  T* to;

  __device__ __forceinline__ BackwardWalk(const ConvCall<T>& call, const ConvGradients<T>& grads,
                                          const ConvPlace& place, const FinalTokens& tokens)
      : call(call),
        grads(grads),
        place(place),
        tokens(tokens),
        stop(place.end + kLag),
        limit(min(stop, call.length)),
        rows({call.x, grads.grad_y}, place, limit),
        taps(call, place, call.taps_in_fours),
        documents(call, place.b),
        reach(documents, place.begin),
        to(grads.grad_x.at(place.b, place.begin - kLag, place.channel)) {
    taps.start(call, place, place.begin);
  }

  template <bool kWhole>
  __device__ __forceinline__ void round(int first, StripSums<kWidth, kCount>& sums) {
#pragma unroll
    for (int r = 0; r < kRows; ++r, to += grads.grad_x.row_stride) {
      const int t = first + r, tau = t - kLag;
      const bool in_row = kWhole || t < limit, more = kWhole || t + kRows < limit;
      const int id = kMasked && in_row ? documents.id(t) : 0;
      if (kMasked) reach.step(id);
      const int back = kMasked ? reach.reach : kLag;
      Packed<T, kCount> row[2];
      rows.take(r, in_row, more, row);
      taps.template push<T>(row[0]);
      float g[kCount];
      gradient_of_sum<T, kWidth, kCount, kMasked, kSilu>(taps, id >= 0 && in_row, back, row[1], g);
      pending.push(taps, back, g);
      if ((kWhole || t < place.end) && id >= 0) sums.add(taps, back, g);
      if (!kWhole) add_final(grads.grad_final, place, tokens, tau, pending.at[kLag]);
      if (!kWhole && tau < place.begin)
        store_initial(call, grads.grad_initial, place, tau, pending.at[kLag]);
      else if ((kWhole || tau < place.end) && grads.grad_x.given())
        store<T, kCount>(to, pending.at[kLag]);
    }
  }
  __device__ __forceinline__ bool whole(int first) const {
    return first >= place.begin + kLag && first + kRows <= place.end &&
           first + 2 * kRows <= limit && !tokens.any_in(first - kLag, first - kLag + kRows);
  }
  __device__ __forceinline__ void run(StripSums<kWidth, kCount>& sums) {
    for (int first = place.begin; first < stop; first += kRows)
      whole(first) ? round<true>(first, sums) : round<false>(first, sums);
  }
};

/// Adds the sums of the block's strips in their order.
template <int kCount>
__device__ __forceinline__ void write_partial(const float (&sum)[kCount], float* partials,
                                              int first_channel, int channels) {
  __shared__ float of_warp[kWarps][kWarpSize * kCount];
  __syncthreads();
#pragma unroll
  for (int i = 0; i < kCount; ++i)
    of_warp[threadIdx.x / kWarpSize][threadIdx.x % kWarpSize * kCount + i] = sum[i];
  __syncthreads();
  for (int i = threadIdx.x; i < kWarpSize * kCount; i += kWarps * kWarpSize) {
    float total = 0;
#pragma unroll
    for (int warp = 0; warp < kWarps; ++warp) total += of_warp[warp][i];
    if (first_channel + i < channels) partials[first_channel + i] = total;
  }
}

template <typename T, int kWidth, int kCount, bool kMasked>
__global__ void __launch_bounds__(kWarps* kWarpSize, kBlocks<T>)
    conv_backward(const ConvCall<T> call, const ConvGradients<T> grads) {
  // The warps of a block have strips of the same channels; neighbouring blocks, neighbouring ones.
  uint32_t across;
  const uint32_t block = call.across.divide(blockIdx.x, across);
  const ConvPlace place(call, kCount, block * kWarps + threadIdx.x / kWarpSize, across);
  StripSums<kWidth, kCount> sums;
  if (place.strip_exists) {
    const FinalTokens tokens =
        grads.grad_final.given() ? FinalTokens(RowDocuments(call, place.b)) : FinalTokens();
    if (place.channel < call.channels && call.silu)
      BackwardWalk<T, kWidth, kCount, kMasked, true>(call, grads, place, tokens).run(sums);
    else if (place.channel < call.channels)
      BackwardWalk<T, kWidth, kCount, kMasked, false>(call, grads, place, tokens).run(sums);
  }
  if (grads.partials == nullptr) return;
  const int first_channel = static_cast<int>(across) * kWarpSize * kCount;
  float* partials = grads.partials + int64_t{block} * (call.width + 1) * call.channels;
#pragma unroll
  for (int k = 0; k < kWidth; ++k)
    if (k < call.width)
      write_partial(sums.weight[k], partials + int64_t{k} * call.channels, first_channel,
                    call.channels);
  write_partial(sums.bias, partials + int64_t{call.width} * call.channels, first_channel,
                call.channels);
}

/// Sums of the blocks' partial sums.
DeviceAnswer sum_partials(const float* partials, int64_t rows, const Conv1dInputs& in,
                          const Conv1dGradients& grads, cudaStream_t stream) {
  const int width = static_cast<int>(in.weight.size[1]);
  ColumnSums sums{partials, rows, in.x.size[2], width + 1, {}};
  for (int k = 0; k < width && grads.grad_weight.given(); ++k)
    sums.target[k] = {grads.grad_weight.as<float>() + (width - 1 - k) * grads.grad_weight.stride[1],
                      grads.grad_weight.stride[0]};
  if (grads.grad_bias.given())
    sums.target[width] = {grads.grad_bias.as<float>(), grads.grad_bias.stride[0]};
  return sum_columns(sums, stream);
}

}  // namespace

DeviceAnswer causal_conv1d_backward(const Conv1dInputs& in, const Conv1dGradients& grads,
                                    const DeviceWork& work) {
  const bool sums = grads.grad_weight.given() || grads.grad_bias.given();
  if (in.x.size[0] == 0 || in.x.size[1] == 0 || in.x.size[2] == 0)
    return sums ? sum_partials(nullptr, 0, in, grads, stream_of(work)) : nullptr;
  const bool vectors =
      all_in_vectors(kCount, in.x, in.initial_state, grads.grad_y, grads.grad_final_state,
                     grads.grad_x, grads.grad_initial_state);
  return with_conv_types<kCount>(
      in, vectors, [&]<typename T, int width, int count, bool masked>() -> DeviceAnswer {
        const auto kernel = conv_backward<T, width, count, masked>;
        const int64_t ring = RowStreams<T, count, kRows, 2>::ring_bytes(kWarps * kWarpSize);
        const int64_t at_once = blocks_at_once(kernel, kWarps * kWarpSize, ring) * kWarps;
        const ConvCall<T> call(in, strip_for(in, count, kStrip, at_once), count);
        const int64_t rows = ceil_div(call.all_strips(), kWarps);
        float* partials =
            sums ? take<float>(work, rows * (call.width + 1) * call.channels) : nullptr;
        const auto blocks = static_cast<uint32_t>(rows * call.across.value());
        kernel<<<blocks, kWarps * kWarpSize, ring, stream_of(work)>>>(
            call, {BatchRows<T>(grads.grad_y), BatchRows<T>(grads.grad_final_state),
                   BatchRows<T>(grads.grad_x), BatchRows<T>(grads.grad_initial_state), partials});
        if (const DeviceAnswer wrong = launched()) return wrong;
        return sums ? sum_partials(partials, rows, in, grads, stream_of(work)) : nullptr;
      });
}

}  // namespace adder::kernels::cuda
