// What the forward and the backward pass over chunks share: which tokens of a chunk belong
// together, the step sizes and decays of one head, and tiles of the inputs.
//
// A chunk is kChunk tokens. Inside it c_t is the running sum of Delta A. Every exponent is a
// difference c_later - c_earlier <= 0, so nothing overflows however strong the decay is. c is
// summed in double and kept as high + low, so that neighbours stay exact after a large step.
#pragma once

#include "adder/kernels/cpu/tile.h"
#include "adder/kernels/scratch.h"
#include "adder/kernels/ssd.h"

namespace adder::kernels::ADDER_ISA {

inline constexpr int64_t kChunk = 64;

/// The sizes of a problem, and those of its tiles: head_dim and state up to whole vectors and
/// blocks.
struct Sizes {
  int64_t batch, length, heads, head_dim, groups, width;
  int64_t heads_a_group, chunks, columns, states;  // columns >= head_dim, states >= width
  int64_t state_floats() const { return columns * states; }
};

inline Sizes sizes_of(const SsdInputs& in) {
  Sizes s{in.x.size[0],
          in.x.size[1],
          in.x.size[2],
          in.x.size[3],
          in.B.size[2],
          in.B.size[3],
          0,
          0,
          0,
          0};
  s.heads_a_group = s.heads / s.groups;
  s.chunks = (s.length + kChunk - 1) / kChunk;
  s.columns = round_up(s.head_dim, kTileAlign);
  s.states = round_up(s.width, kTileAlign);
  return s;
}

/// Element i of an array of f32 or bf16.
ADDER_INLINE float element(const void* data, DType dtype, int64_t i) {
  return dtype == DType::bf16 ? widen(static_cast<const bf16*>(data)[i])
                              : static_cast<const float*>(data)[i];
}

/// The tokens of one chunk of one row, and how documents divide them.
struct Tokens {
  int64_t batch, begin, count;
  int64_t rows;        // count up to whole register blocks
  int64_t first_end;   // tokens before it continue the state from before the chunk
  int64_t last_begin;  // tokens from it on reach the state after the chunk
  bool has_padding;
  bool real[kChunk];      // false: padding
  bool starts[kChunk];    // a document begins here: the state is dropped
  int32_t start[kChunk];  // where the token's document begins, in this chunk
  int32_t end[kChunk];    // where it ends
  bool carries() const { return first_end == count; }  // the state before reaches that after
};

inline void set_tokens(const SsdInputs& in, const Sizes& sizes, int64_t batch, int64_t chunk,
                       Tokens& t) {
  t.batch = batch;
  t.begin = chunk * kChunk;
  t.count = sizes.length - t.begin < kChunk ? sizes.length - t.begin : kChunk;
  t.rows = round_up(t.count, kTileAlign);
  t.has_padding = false;
  const int32_t* ids = static_cast<const int32_t*>(in.seq_idx.data);
  const int64_t stride = in.seq_idx.stride[1];
  if (ids != nullptr) ids += batch * in.seq_idx.stride[0] + t.begin * stride;
  int32_t start = 0;
  for (int64_t i = 0; i < kChunk; ++i) {
    const bool inside = i < t.count;
    t.real[i] = inside && (ids == nullptr || ids[i * stride] >= 0);
    t.starts[i] =
        ids != nullptr && t.real[i] && t.begin + i > 0 && ids[i * stride] != ids[(i - 1) * stride];
    t.has_padding |= inside && !t.real[i];
    // A document that begins with the chunk still has "start" 0, but gets nothing from before it.
    if (t.starts[i]) start = static_cast<int32_t>(i);
    t.start[i] = start;
  }
  int32_t end = static_cast<int32_t>(t.count);
  for (int64_t i = kChunk - 1; i >= 0; --i) {
    t.end[i] = end;
    if (t.starts[i]) end = static_cast<int32_t>(i);
  }
  t.first_end = end;
  t.last_begin = start;
}

/// Step sizes and decays of one head in one chunk; zero for padding and beyond the chunk's tokens.
struct Steps {
  alignas(64) float delta[kChunk];
  alignas(64) float slope[kChunk];              // d Delta / d dt
  alignas(64) float high[kChunk], low[kChunk];  // c = high + low
  alignas(64) float from_start[kChunk];  // e^{c_t}: decay from the state before the chunk; 0 if not
                                         // connected
  alignas(
      64) float to_end[kChunk];  // e^{c_end - c_t}: decay to the state after it; 0 if not connected
  float whole;                   // decay of the state across the chunk; 0 if not connected
  float A;
};

inline void set_delta(const SsdInputs& in, const Tokens& t, int64_t head, Steps& steps) {
  const float bias = in.dt_bias.data == nullptr
                         ? 0.0f
                         : element(in.dt_bias.data, DType::f32, head * in.dt_bias.stride[0]);
  const int64_t first =
      t.batch * in.dt.stride[0] + t.begin * in.dt.stride[1] + head * in.dt.stride[2];
  const vf low = splat(static_cast<float>(in.dt_min));
  const vf high = splat(in.dt_max < 3e38 ? static_cast<float>(in.dt_max) : __builtin_inff());
  for (int64_t i = 0; i < kChunk; ++i)
    steps.delta[i] =
        t.real[i] ? element(in.dt.data, in.dt.dtype, first + i * in.dt.stride[1]) + bias : 0;
  for (int64_t i = 0; i < t.rows; i += kLanes) {
    const vf raw = load(steps.delta + i);
    const vf delta = in.dt_softplus ? softplus(raw) : raw;
    const vf slope = in.dt_softplus ? (raw > 20.0f ? splat(1) : sigmoid(raw)) : splat(1);
    store(steps.slope + i, (delta >= low) & (delta <= high) ? slope : vf{});
    const vf below = delta > high ? high : delta;  // comparisons, so that NaN stays NaN
    store(steps.delta + i, below < low ? low : below);
  }
  for (int64_t i = 0; i < kChunk; ++i)
    if (!t.real[i]) steps.delta[i] = steps.slope[i] = 0;
}

inline void set_steps(const SsdInputs& in, const Tokens& t, int64_t head, Steps& steps) {
  set_delta(in, t, head, steps);
  steps.A = element(in.A.data, DType::f32, head * in.A.stride[0]);
  double c[kChunk], sum = 0;
  for (int64_t i = 0; i < kChunk; ++i) {
    sum += static_cast<double>(steps.delta[i]) * static_cast<double>(steps.A);
    c[i] = sum;
  }
  for (int64_t i = 0; i < kChunk; ++i) {
    steps.high[i] = static_cast<float>(c[i]);
    steps.low[i] = static_cast<float>(c[i] - static_cast<double>(steps.high[i]));
    steps.to_end[i] = static_cast<float>(sum - c[i]);
  }
  for (int64_t i = 0; i < kChunk; i += kLanes) {
    store(steps.from_start + i, exp(load(steps.high + i)));
    store(steps.to_end + i, exp(load(steps.to_end + i)));
  }
  steps.whole = t.carries() ? steps.from_start[kChunk - 1] : 0.0f;
  for (int64_t i = t.first_end; i < kChunk; ++i) steps.from_start[i] = 0;
  for (int64_t i = 0; i < t.last_begin; ++i) steps.to_end[i] = 0;
}

ADDER_INLINE vi lane_numbers(int64_t first) {
  vi numbers{};
  for (int i = 0; i < kLanes; ++i) numbers[i] = i;
  return numbers + static_cast<int32_t>(first);
}

/// decay[s, t] = e^{c_t - c_s} where s <= t in one document, else 0; (kChunk, kChunk), the earlier
/// token first. Calls put(offset, decays) for each vector, zeros included, up to the chunk's rows.
template <typename Put>
ADDER_INLINE void for_decays(const Tokens& t, const Steps& steps, const Put& put) {
  for (int64_t s = 0; s < t.count; ++s) {
    const vf high = splat(steps.high[s]), low = splat(steps.low[s]);
    const int32_t end = t.end[s];
    for (int64_t i = 0; i < t.rows; i += kLanes) {
      vf decay{};
      if (i + kLanes > s && i < end) {
        const vf exponent = (load(steps.high + i) - high) + (load(steps.low + i) - low);
        const vi later = lane_numbers(i);
        const vi valid = (later >= static_cast<int32_t>(s)) & (later < end);
        decay = valid ? exp(exponent < 0.0f ? exponent : vf{}) : vf{};
      }
      put(s, i, decay);
    }
  }
}

/// The rows of a chunk out of (batch, length, which, size), widened to fp32: a tile (t.rows,
/// stride). Zeros in padding, in rows beyond the chunk and in columns beyond the array's.
template <typename E>
inline void load_tile(const View<4>& view, const Tokens& t, int64_t which, float* to,
                      int64_t stride) {
  const E* from = static_cast<const E*>(view.data) + t.batch * view.stride[0] +
                  t.begin * view.stride[1] + which * view.stride[2];
  const int64_t size = view.size[3], step = view.stride[1];
  for (int64_t i = 0; i < t.rows; ++i, from += step, to += stride) {
    const int64_t given = t.real[i] ? size : 0;
    int64_t j = 0;
    for (; j + kLanes <= given; j += kLanes) store(to + j, load(from + j));
    for (; j < stride; j += kLanes) store(to + j, j < given ? load_n(from + j, given - j) : vf{});
  }
}

/// Row i of the chunk in a (batch, length, which, size) array.
template <typename E>
ADDER_INLINE E* row_of(const View<4>& view, const Tokens& t, int64_t i, int64_t which) {
  return static_cast<E*>(view.data) + t.batch * view.stride[0] + (t.begin + i) * view.stride[1] +
         which * view.stride[2];
}

/// scores[s, t] = B_s . C_t for the t that s can reach; (kChunk, kChunk) from B^T and C^T, (state,
/// kChunk) each.
inline void set_scores(const Tokens& t, int64_t width, const float* B_t, const float* C_t,
                       float* scores) {
  for_panels(t.rows, [&]<int V>(int64_t col) {
    for (int64_t row = 0; row < t.rows && row < col + V * kLanes; row += kBlockRows) {
      Block<V> block;
      clear(block);
      add_product(block, {B_t, 1, kChunk}, row, C_t, kChunk, col, 0, width);
      for (int r = 0; r < kBlockRows; ++r)
        for (int v = 0; v < V; ++v)
          store(scores + (row + r) * kChunk + col + v * kLanes, block.at[r][v]);
    }
  });
}

/// A state is kept transposed, (state, head_dim) in a tile (states, columns), so that heads'
/// products run along head_dim. to = whole * from + sum over tokens [first, last) of keys_t (outer)
/// rows_t.
/// Not inlined: in a larger function the compiler runs out of registers for the sums.
[[gnu::noinline]] inline void advance_state(const Sizes& sizes, const float* from, float whole,
                                            const float* keys, const float* rows, int64_t first,
                                            int64_t last, float* to) {
  for_panels(sizes.columns, [&]<int V>(int64_t col) {
    for (int64_t n = 0; n < sizes.states; n += kBlockRows) {
      Block<V> block;
      clear(block);
      for (int r = 0; r < kBlockRows && whole != 0.0f; ++r)  // not 0 * inf
        for (int v = 0; v < V; ++v)
          block.at[r][v] = whole * load(from + (n + r) * sizes.columns + col + v * kLanes);
      add_product(block, {keys, 1, sizes.states}, n, rows, sizes.columns, col, first, last);
      for (int r = 0; r < kBlockRows; ++r)
        for (int v = 0; v < V; ++v)
          store(to + (n + r) * sizes.columns + col + v * kLanes, block.at[r][v]);
    }
  });
}

/// rows[t] = factor[t] * from[t] for all rows of the chunk; tiles (rows, columns).
inline void scale_rows(const Sizes& sizes, const Tokens& t, const float* factor, const float* from,
                       float* rows) {
  for (int64_t i = 0; i < t.rows; ++i)
    for (int64_t j = 0; j < sizes.columns; j += kLanes)
      store(rows + i * sizes.columns + j, factor[i] * load(from + i * sizes.columns + j));
}

/// A state of the caller, (head_dim, state) dense, to a tile; zeros when there is none.
inline void read_state(const Sizes& sizes, const View<4>& view, int64_t batch, int64_t head,
                       float* to) {
  for (int64_t i = 0; i < sizes.state_floats(); i += kLanes) store(to + i, vf{});
  if (view.data == nullptr) return;
  const int64_t offset = (batch * sizes.heads + head) * sizes.head_dim * sizes.width;
  transpose(static_cast<const float*>(view.data) + offset, sizes.width, sizes.head_dim, sizes.width,
            to, sizes.columns, sizes.columns);
}

inline void write_state(const Sizes& sizes, const float* from, const View<4>& view, int64_t batch,
                        int64_t head) {
  if (view.data == nullptr) return;
  const int64_t offset = (batch * sizes.heads + head) * sizes.head_dim * sizes.width;
  transpose(from, sizes.columns, sizes.width, sizes.head_dim,
            static_cast<float*>(view.data) + offset, sizes.width, sizes.width);
}

/// D of one head as a row of `columns`; zeros when there is none.
inline void read_skip(const Sizes& sizes, const View<2>& D, int64_t head, float* row) {
  const float* from = static_cast<const float*>(D.data) + head * D.stride[0];
  for (int64_t p = 0; p < sizes.columns; ++p)
    row[p] = D.data == nullptr || p >= sizes.head_dim ? 0.0f
                                                      : from[D.size[1] == 1 ? 0 : p * D.stride[1]];
}

}  // namespace adder::kernels::ADDER_ISA
