// What the forward and the backward scan share. Lanes are channels: a unit of work is a block of
// channels of one group and row, walked in tiles of kTokens tokens; in a tile, for each vector of
// channels, kStates states at a time stay in registers while time runs innermost.
//
// States, A and their gradients are kept transposed in tiles (states, block): state n of channel c
// at n * block + c. B and C of a tile of tokens are fp32 rows of `states`, zeros beyond the width:
// such a state stays zero and adds nothing.
#pragma once

#include "adder/kernels/cpu/tile.h"
#include "adder/kernels/scratch.h"
#include "adder/kernels/selective_scan.h"

namespace adder::kernels::ADDER_ISA {

inline constexpr int64_t kTokens = 32;
inline constexpr int kStates = 4;
inline constexpr int64_t kTileFloats = kTokens * kLanes;  // one number a token and channel

struct ScanSizes {
  int64_t batch, length, channels, groups, width;
  int64_t group_channels;  // channels of one group
  int64_t states;          // width up to whole register blocks
  int64_t tiles;           // of time
  int64_t block;           // channels of a unit, whole vectors; a group's last unit may have fewer
  int64_t blocks;          // units of a group and row
  int64_t state_floats() const { return states * block; }
  int64_t units() const { return batch * groups * blocks; }
};

/// At most `most_blocks` units of a group and row, of at least 64 channels.
inline ScanSizes scan_sizes(const SelectiveScanInputs& in, int64_t most_blocks) {
  constexpr int64_t kFewest = 64;  // channels that share the work on a tile's B and C
  ScanSizes s{in.u.size[0], in.u.size[1], in.u.size[2], in.B.size[2], in.B.size[3]};
  s.group_channels = s.channels / s.groups;
  s.states = round_up(s.width, kStates);
  s.tiles = (s.length + kTokens - 1) / kTokens;
  s.block = round_up((s.group_channels + most_blocks - 1) / most_blocks, kFewest);
  if (s.block > s.group_channels) s.block = round_up(s.group_channels, kLanes);
  s.blocks = (s.group_channels + s.block - 1) / s.block;
  return s;
}

/// Channels [first, first + count) of one row; all of one group.
struct ScanUnit {
  int64_t batch, group, first, count;
};

inline ScanUnit scan_unit(const ScanSizes& s, int64_t index) {
  const int64_t block = index % s.blocks, group = index / s.blocks % s.groups;
  const int64_t begin = block * s.block, left = s.group_channels - begin;
  return {index / s.blocks / s.groups, group, group * s.group_channels + begin,
          left < s.block ? left : s.block};
}

/// Real tokens of one document without a gap; `fresh`: the state is dropped before them.
struct ScanRun {
  int64_t begin, end;  // in the tile
  bool fresh;
};

struct ScanTile {
  int64_t begin, count;  // tokens of the row
  int64_t runs;
  ScanRun run[kTokens];
  bool real[kTokens];  // false: padding
};

inline void set_scan_tile(const SelectiveScanInputs& in, const ScanSizes& s, int64_t batch,
                          int64_t index, ScanTile& tile) {
  tile.begin = index * kTokens;
  tile.count = s.length - tile.begin < kTokens ? s.length - tile.begin : kTokens;
  tile.runs = 0;
  const int64_t stride = in.seq_idx.stride[1];
  const int32_t* ids = static_cast<const int32_t*>(in.seq_idx.data);
  if (ids != nullptr) ids += batch * in.seq_idx.stride[0] + tile.begin * stride;
  for (int64_t i = 0; i < tile.count; ++i) {
    tile.real[i] = ids == nullptr || ids[i * stride] >= 0;
    if (!tile.real[i]) continue;
    const bool fresh =
        ids != nullptr && tile.begin + i > 0 && ids[i * stride] != ids[(i - 1) * stride];
    if (i == 0 || fresh) tile.run[tile.runs++] = {i, i, fresh};  // after padding: always fresh
    tile.run[tile.runs - 1].end = i + 1;
  }
}

/// 2^x: relative error below 1.2e-7 where the result is normal; 0 below 2^-127, inf from 2^128
/// (without AVX-512: from 2^127.5), NaN for NaN. x = k + r with |r| <= 1/2; 2^r = 1 + r q(r), where
/// q is the polynomial of degree 5 that leaves the least relative error (2e-9). It is exactly 1 at
/// 0, and nearby as good as f32 allows: a long memory does not drift.
ADDER_INLINE vf exp2(vf x) {
#if defined(__AVX512F__)
  const __m512 wide = reinterpret_cast<__m512>(x);
  const vf k = reinterpret_cast<vf>(_mm512_maskz_roundscale_ps(0xffff, wide, 0));
  const vf r =
      reinterpret_cast<vf>(_mm512_maskz_reduce_ps(0xffff, wide, 0));  // x - k, and 0 for +-inf
#else
  x = x > splat(128.0f) ? splat(128.0f) : x;  // written so that NaN stays
  x = x < splat(-127.0f) ? splat(-127.0f) : x;
  const vf shift = splat(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const vf shifted = x + shift;
  const vf r = x - (shifted - shift);
#endif
  vf p = r * 1.535336196e-4f + 1.339887502e-3f;
  p = p * r + 9.618436918e-3f;
  p = p * r + 5.550332367e-2f;
  p = p * r + 2.402264774e-1f;
  p = p * r + 6.931471825e-1f;
  p = p * r + 1.0f;
#if defined(__AVX512F__)
  return reinterpret_cast<vf>(
      _mm512_maskz_scalef_ps(0xffff, reinterpret_cast<__m512>(p), reinterpret_cast<__m512>(k)));
#else
  const vi k = reinterpret_cast<vi>(shifted) - reinterpret_cast<vi>(shift);
  return p * reinterpret_cast<vf>((k + 127) << 23);
#endif
}

/// The lanes of a vector of channels: `channel` is the first, `lanes` (at most kLanes) exist; the
/// others hold zeros.
struct ScanVector {
  int64_t channel, lanes;
  int64_t column;  // of the first channel in the unit's tiles
};

/// One row (token) of a (batch, length, channels) array.
template <typename E>
ADDER_INLINE E* scan_row(const View<3>& view, const ScanUnit& unit, int64_t token,
                         int64_t channel) {
  return static_cast<E*>(view.data) + unit.batch * view.stride[0] + token * view.stride[1] +
         channel;
}

template <typename E>
ADDER_INLINE vf read_lanes(const View<3>& view, const ScanUnit& unit, int64_t token,
                           const ScanVector& v) {
  return load_up_to(scan_row<const E>(view, unit, token, v.channel), v.lanes);
}
/// The same for an array that may be of another dtype than u.
ADDER_INLINE vf read_lanes(const View<3>& view, const ScanUnit& unit, int64_t token,
                           const ScanVector& v) {
  return view.dtype == DType::bf16 ? read_lanes<bf16>(view, unit, token, v)
                                   : read_lanes<float>(view, unit, token, v);
}

/// Nothing is written to a gradient that nobody asked for.
template <typename E>
ADDER_INLINE void write_lanes(const View<3>& view, const ScanUnit& unit, int64_t token,
                              const ScanVector& v, vf value) {
  if (view.data != nullptr) store_up_to(scan_row<E>(view, unit, token, v.channel), value, v.lanes);
}
ADDER_INLINE void write_lanes(const View<3>& view, const ScanUnit& unit, int64_t token,
                              const ScanVector& v, vf value) {
  view.dtype == DType::bf16 ? write_lanes<bf16>(view, unit, token, v, value)
                            : write_lanes<float>(view, unit, token, v, value);
}

/// Lanes of a (channels) parameter; zeros when it was not given.
ADDER_INLINE vf read_parameter(const View<1>& view, const ScanVector& v) {
  if (view.data == nullptr) return vf{};
  return load_up_to(static_cast<const float*>(view.data) + v.channel, v.lanes);
}

/// What a tile's recurrence multiplies with; (kTokens, kLanes) each. Padding is left unset.
struct ScanSteps {
  float *delta, *u, *input;  // input = Delta u
};

/// raw = delta + delta_bias; visit(token, raw) is called for each real token.
template <typename E, typename Visit>
ADDER_INLINE void set_scan_steps(const SelectiveScanInputs& in, const ScanUnit& unit,
                                 const ScanTile& tile, const ScanVector& v, const ScanSteps& steps,
                                 const Visit& visit) {
  const vf bias = read_parameter(in.delta_bias, v);
  for (int64_t t = 0; t < tile.count; ++t) {
    if (!tile.real[t]) continue;
    const vf raw = read_lanes(in.delta, unit, tile.begin + t, v) + bias;
    const vf delta = in.delta_softplus ? softplus(raw) : raw;
    const vf u = read_lanes<E>(in.u, unit, tile.begin + t, v);
    store(steps.delta + t * kLanes, delta);
    store(steps.u + t * kLanes, u);
    store(steps.input + t * kLanes, delta * u);
    visit(t, raw);
  }
}

/// B or C of the tile's tokens as rows of `states` floats; zeros beyond the width.
template <typename E>
inline void load_keys(const View<4>& view, const ScanSizes& s, const ScanUnit& unit,
                      const ScanTile& tile, float* to) {
  const E* from = static_cast<const E*>(view.data) + unit.batch * view.stride[0] +
                  tile.begin * view.stride[1] + unit.group * view.stride[2];
  for (int64_t t = 0; t < tile.count; ++t, from += view.stride[1], to += s.states) {
    int64_t n = 0;
    for (; n + kLanes <= s.width; n += kLanes) store(to + n, load(from + n));
    for (; n < s.width; ++n) to[n] = widen(from[n]);
    for (; n < s.states; ++n) to[n] = 0;
  }
}

/// A (channels, state) array of the caller's, from channel unit.first of row `row` on, to a tile;
/// zeros when there is none.
inline void read_states(const ScanSizes& s, const ScanUnit& unit, const void* data, int64_t row,
                        float* to) {
  for (int64_t i = 0; i < s.state_floats(); i += kLanes) store(to + i, vf{});
  if (data == nullptr) return;
  transpose(static_cast<const float*>(data) + (row * s.channels + unit.first) * s.width, s.width,
            unit.count, s.width, to, s.block, s.block);
}
inline void write_states(const ScanSizes& s, const ScanUnit& unit, const float* from, void* data,
                         int64_t row) {
  if (data == nullptr) return;
  transpose(from, s.block, s.width, unit.count,
            static_cast<float*>(data) + (row * s.channels + unit.first) * s.width, s.width,
            s.width);
}

/// A log2 e as a tile.
inline void read_exponents(const ScanSizes& s, const ScanUnit& unit, const View<2>& A, float* to) {
  read_states(s, unit, A.data, 0, to);
  for (int64_t i = 0; i < s.state_floats(); i += kLanes)
    store(to + i, load(to + i) * 1.44269504088896341f);
}

/// The vectors of a unit.
template <typename Body>
ADDER_INLINE void for_vectors(const ScanUnit& unit, const Body& body) {
  for (int64_t c = 0; c < unit.count; c += kLanes) {
    const int64_t left = unit.count - c;
    body(ScanVector{unit.first + c, left < kLanes ? left : kLanes, c});
  }
}

/// kStates states of one vector of channels through the tile's tokens; `exponents` and `state`
/// point at the first state's lanes, `B` at its element of the first token. Calls
/// visit(token, decay, before, after) with arrays of kStates vectors.
template <typename Visit>
ADDER_INLINE void scan_states(const ScanSizes& s, const ScanTile& tile, const ScanSteps& steps,
                              const float* B, const float* exponents, float* state,
                              const Visit& visit) {
  vf exponent[kStates], h[kStates];
#pragma GCC unroll 4
  for (int i = 0; i < kStates; ++i) {
    exponent[i] = load(exponents + i * s.block);
    h[i] = load(state + i * s.block);
  }
  for (int64_t r = 0; r < tile.runs; ++r) {
    const ScanRun run = tile.run[r];
    for (int i = 0; i < kStates && run.fresh; ++i) h[i] = vf{};
    for (int64_t t = run.begin; t < run.end; ++t) {
      const vf delta = load(steps.delta + t * kLanes), input = load(steps.input + t * kLanes);
      const float* keys = B + t * s.states;
      vf decay[kStates], before[kStates];
#pragma GCC unroll 4
      for (int i = 0; i < kStates; ++i) {
        decay[i] = exp2(delta * exponent[i]);
        before[i] = h[i];
        h[i] = decay[i] * h[i] + input * keys[i];
      }
      visit(t, decay, before, h);
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < kStates; ++i) store(state + i * s.block, h[i]);
}

}  // namespace adder::kernels::ADDER_ISA
