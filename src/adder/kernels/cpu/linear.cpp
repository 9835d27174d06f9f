// Every element of y is a dot product of two contiguous rows, summed lane by lane along k and then
// across lanes. The sum of one element is the same whatever tile it lies in, so a step of decoding
// (rows == 1) gives the bits of a prefill; and neither x nor W needs packing.
#include "adder/kernels/cpu/linear.h"

#include "adder/kernels/cpu/rows.h"
#include "adder/kernels/cpu/sum_each.h"

namespace adder::kernels::ADDER_ISA {
namespace {

constexpr int kTileRows = kLanes == 16 ? 6 : 3;  // 24 of 32 registers, or 12 of 16, hold sums
constexpr int kTileOuts = 4;
constexpr int64_t kRowsAtOnce = 16 * kTileRows;  // rows of x that meet one block of weights
constexpr int64_t kWeightBlock = 256 << 10;  // bytes of weights that stay in the second-level cache

template <typename W>
struct Problem {
  const float* x;
  const W* weight;
  const float* bias;  // may be null
  float* y;
  int64_t x_stride, weight_stride, bias_stride, y_stride;
  int64_t rows, outs, depth;
};

template <int R, int O>
ADDER_INLINE void add_products(vf (&sums)[R][O], const vf (&x)[R], const vf (&w)[O]) {
  for (int r = 0; r < R; ++r)
    for (int o = 0; o < O; ++o) sums[r][o] += x[r] * w[o];
}

/// y[row .. row + R) [out .. out + O)
template <int R, int O, typename W>
void tile(const Problem<W>& p, int64_t row, int64_t out) {
  const float* x = p.x + row * p.x_stride;
  const W* weight = p.weight + out * p.weight_stride;
  vf sums[R][O] = {}, xs[R], ws[O];
  int64_t k = 0;
  for (; k + kLanes <= p.depth; k += kLanes) {
    for (int o = 0; o < O; ++o) {
      ws[o] = load(weight + o * p.weight_stride + k);
      if (R == 1) __builtin_prefetch(weight + (o + O) * p.weight_stride + k);  // the next tile's
    }
    for (int r = 0; r < R; ++r) xs[r] = load(x + r * p.x_stride + k);
    add_products(sums, xs, ws);
  }
  if (k < p.depth) {
    for (int o = 0; o < O; ++o) ws[o] = load_n(weight + o * p.weight_stride + k, p.depth - k);
    for (int r = 0; r < R; ++r) xs[r] = load_n(x + r * p.x_stride + k, p.depth - k);
    add_products(sums, xs, ws);
  }
  for (int r = 0; r < R; ++r) {
    float* y = p.y + (row + r) * p.y_stride + out;
    float totals[O];
    if constexpr (O == kTileOuts) {
      const vf4 four = sum_each(fold_add(sums[r][0]), fold_add(sums[r][1]), fold_add(sums[r][2]),
                                fold_add(sums[r][3]));
      for (int o = 0; o < O; ++o) totals[o] = four[o];
    } else {
      for (int o = 0; o < O; ++o) totals[o] = sum(sums[r][o]);
    }
    for (int o = 0; o < O; ++o)
      y[o] = p.bias == nullptr ? totals[o] : totals[o] + p.bias[(out + o) * p.bias_stride];
  }
}

/// One row tile against the outputs [begin, end).
template <int R, typename W>
void strip(const Problem<W>& p, int64_t row, int64_t begin, int64_t end) {
  int64_t out = begin;
  for (; out + kTileOuts <= end; out += kTileOuts) tile<R, kTileOuts>(p, row, out);
  for (; out < end; ++out) tile<R, 1>(p, row, out);
}

/// `rows` < kTileRows rows, or as many as a tile has.
template <int R, typename W>
void strip_of(const Problem<W>& p, int64_t rows, int64_t row, int64_t begin, int64_t end) {
  if constexpr (R > 0) {
    if (rows >= R)
      strip<R>(p, row, begin, end);
    else
      strip_of<R - 1>(p, rows, row, begin, end);
  }
}

template <typename W>
void multiply(const Problem<W>& p, const Parallel& parallel) {
  const int64_t out_bytes = p.depth * static_cast<int64_t>(sizeof(W)) + 1;
  int64_t block = kWeightBlock / out_bytes / kTileOuts * kTileOuts;
  block = block < kTileOuts ? kTileOuts : block > 64 ? 64 : block;
  const int64_t out_blocks = (p.outs + block - 1) / block;
  const int64_t row_blocks = (p.rows + kRowsAtOnce - 1) / kRowsAtOnce;
  const int64_t grain = 1 + (64 << 10) / (block * out_bytes);
  parallel.run(out_blocks * row_blocks, grain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t out = i / row_blocks * block, first = i % row_blocks * kRowsAtOnce;
      const int64_t out_end = out + block < p.outs ? out + block : p.outs;
      const int64_t last = first + kRowsAtOnce < p.rows ? first + kRowsAtOnce : p.rows;
      for (int64_t row = first; row < last; row += kTileRows)
        strip_of<kTileRows>(p, last - row, row, out, out_end);
    }
  });
}

template <typename W>
void multiply(const View<2>& x, const View<2>& weight, const View<1>& bias, const View<2>& y,
              const Parallel& parallel) {
  multiply(Problem<W>{.x = static_cast<const float*>(x.data),
                      .weight = static_cast<const W*>(weight.data),
                      .bias = static_cast<const float*>(bias.data),
                      .y = static_cast<float*>(y.data),
                      .x_stride = x.stride[0],
                      .weight_stride = weight.stride[0],
                      .bias_stride = bias.stride[0],
                      .y_stride = y.stride[0],
                      .rows = x.size[0],
                      .outs = weight.size[0],
                      .depth = x.size[1]},
           parallel);
}

}  // namespace

void linear(const View<2>& x, const View<2>& weight, const View<1>& bias, const View<2>& y,
            const Parallel& parallel) {
  switch (weight.dtype) {
    case DType::bf16:
      return multiply<bf16>(x, weight, bias, y, parallel);
    case DType::f16:
      return multiply<f16>(x, weight, bias, y, parallel);
    default:
      return multiply<float>(x, weight, bias, y, parallel);
  }
}

}  // namespace adder::kernels::ADDER_ISA
