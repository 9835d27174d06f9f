// What the forward and the backward pass of word_ssm share. The state of a batch row is cut into
// tiles of a few columns n by a few vectors of places i, which stay in registers while the tokens
// go by; a unit of work is one batch row and one strip of places, for all columns in order.
#pragma once

#include "adder/kernels/cpu/simd.h"
#include "adder/kernels/cpu/sum_each.h"
#include "adder/kernels/word_ssm.h"

namespace adder::kernels::ADDER_ISA {

inline constexpr int kGroup = 4;                              // columns of a tile
inline constexpr int kVectors = kLanes == 16 ? 4 : 2;         // of places of a tile
inline constexpr int64_t kStrip = kVectors * kLanes;          // places of a unit
inline constexpr int64_t kSmallestShare = int64_t{64} << 10;  // elements worth a thread

/// Where a tile lies: batch row, first column, first place, and how many places count.
struct WordTile {
  int64_t b, n, i, count;
};

enum class WordToken { kNext, kFirst, kPadding };

/// The documents of one batch row.
struct WordDocuments {
  const int32_t* seq_idx;  // null: one document
  WordDocuments(const View<2>& view, int64_t b)
      : seq_idx(view.data == nullptr ? nullptr
                                     : static_cast<const int32_t*>(view.data) + b * view.stride[0]),
        stride(view.stride[1]) {}
  WordToken kind(int64_t t) const {
    if (seq_idx == nullptr) return WordToken::kNext;
    const int32_t id = seq_idx[t * stride];
    if (id < 0) return WordToken::kPadding;
    return t > 0 && id != seq_idx[(t - 1) * stride] ? WordToken::kFirst : WordToken::kNext;
  }
  int64_t stride;
};

/// Rows of q, k or v of one batch row, from a column on.
template <typename E>
ADDER_INLINE E* place(const View<3>& view, int64_t b, int64_t t, int64_t column) {
  return static_cast<E*>(view.data) + b * view.stride[0] + t * view.stride[1] + column;
}
template <typename E>
ADDER_INLINE E* place(const View<4>& view, int64_t b, int64_t t, int64_t n, int64_t i) {
  return static_cast<E*>(view.data) + b * view.stride[0] + t * view.stride[1] + n * view.stride[2] +
         i;
}

/// V vectors of places; `count` of the places exist. kWhole: all of them.
template <int V, bool kWhole, typename E>
ADDER_INLINE void load_places(const E* from, int64_t count, vf (&to)[V]) {
#pragma GCC unroll 4
  for (int j = 0; j < V; ++j)
    to[j] = kWhole || j + 1 < V ? load(from + j * kLanes)
                                : load_n(from + j * kLanes, count - j * kLanes);
}
template <int V, bool kWhole, typename E>
ADDER_INLINE void store_places(E* to, int64_t count, const vf (&from)[V]) {
#pragma GCC unroll 4
  for (int j = 0; j < V; ++j) {
    if (kWhole || j + 1 < V)
      store(to + j * kLanes, from[j]);
    else
      store_n(to + j * kLanes, from[j], count - j * kLanes);
  }
}

/// A state, or its gradient, from and to memory; zeros when the view was not given.
template <int G, int V, bool kWhole>
ADDER_INLINE void load_state(const View<3>& view, const WordTile& tile, vf (&state)[G][V]) {
  for (int g = 0; g < G; ++g) {
    for (int j = 0; j < V; ++j) state[g][j] = vf{};
    if (view.data != nullptr)
      load_places<V, kWhole>(place<const float>(view, tile.b, tile.n + g, tile.i), tile.count,
                             state[g]);
  }
}
template <int G, int V, bool kWhole>
ADDER_INLINE void store_state(const View<3>& view, const WordTile& tile, const vf (&state)[G][V]) {
  for (int g = 0; g < G && view.data != nullptr; ++g)
    store_places<V, kWhole>(place<float>(view, tile.b, tile.n + g, tile.i), tile.count, state[g]);
}

template <int G, int V>
ADDER_INLINE void set_zero(vf (&state)[G][V]) {
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g)
#pragma GCC unroll 4
    for (int j = 0; j < V; ++j) state[g][j] = vf{};
}

/// Calls body.template run<G, V, kWhole>(tile) for every tile of unit `unit` = (batch row, strip).
template <int V, bool kWhole, typename Body>
void for_groups(int64_t columns, WordTile tile, const Body& body) {
  for (; tile.n + kGroup <= columns; tile.n += kGroup) body.template run<kGroup, V, kWhole>(tile);
  for (; tile.n + 2 <= columns; tile.n += 2) body.template run<2, V, kWhole>(tile);
  for (; tile.n < columns; ++tile.n) body.template run<1, V, kWhole>(tile);
}
template <int V, typename Body>
void for_strip(int64_t columns, const WordTile& tile, const Body& body) {
  if constexpr (V > 0) {
    if (tile.count == V * kLanes)
      for_groups<V, true>(columns, tile, body);
    else if (tile.count > (V - 1) * kLanes)
      for_groups<V, false>(columns, tile, body);
    else
      for_strip<V - 1>(columns, tile, body);
  }
}

inline int64_t strips_of(int64_t width) {
  return (width + kStrip - 1) / kStrip;
}

template <typename Body>
void for_units(const WordSsmInputs& in, const Parallel& parallel, const Body& body) {
  const int64_t batch = in.q.size[0], length = in.q.size[1], columns = in.q.size[2];
  const int64_t width = in.v.size[2], strips = strips_of(width);
  const int64_t grain = 1 + kSmallestShare / (kStrip * columns * length + 1);
  parallel.run(batch * strips, grain, [&](int64_t begin, int64_t end) {
    for (int64_t unit = begin; unit < end; ++unit) {
      const int64_t i = unit % strips * kStrip, left = width - i;
      for_strip<kVectors>(columns, {unit / strips, 0, i, left < kStrip ? left : kStrip}, body);
    }
  });
}

}  // namespace adder::kernels::ADDER_ISA
