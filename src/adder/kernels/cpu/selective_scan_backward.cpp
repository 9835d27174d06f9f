// The backward scan (formulas: ref/selective_scan_backward.cpp). A unit of work first makes the
// states before each tile of time again, then walks the tiles in reverse: per vector of channels
// and kStates states it replays the tile, keeping each token's decay and the state before it, and
// sweeps back. dB and dC are summed over the unit's channels lane by lane, and across lanes once a
// tile; each unit writes its own, added afterwards in order (selective_scan_gradients.h).
#include "adder/kernels/cpu/selective_scan.h"
#include "adder/kernels/cpu/selective_scan_gradients.h"

namespace adder::kernels::ADDER_ISA {
namespace {

constexpr int64_t kReplayFloats = kStates * kTileFloats;

template <typename E>
class Backward {
 public:
  Backward(const SelectiveScanInputs& in, const SelectiveScanGradients& grads,
           const ScanSizes& sizes, const ScanPartials& partials, Scratch& scratch)
      : in_(in),
        grads_(grads),
        s_(sizes),
        partials_(partials),
        exponents_(scratch.floats(sizes.state_floats())),
        A_(scratch.floats(sizes.state_floats())),
        g_(scratch.floats(sizes.state_floats())),
        states_(scratch.floats(sizes.tiles * sizes.state_floats())),
        B_(scratch.floats(kTokens * sizes.states)),
        C_(scratch.floats(kTokens * sizes.states)),
        dB_(scratch.floats(sizes.states * kTileFloats)),
        dC_(scratch.floats(sizes.states * kTileFloats)),
        decays_(scratch.floats(kReplayFloats)),
        befores_(scratch.floats(kReplayFloats)),
        steps_{scratch.floats(kTileFloats), scratch.floats(kTileFloats),
               scratch.floats(kTileFloats)},
        slope_(scratch.floats(kTileFloats)),
        dy_(scratch.floats(kTileFloats)),
        y_(scratch.floats(kTileFloats)),
        gB_(scratch.floats(kTileFloats)),
        gA_(scratch.floats(kTileFloats)) {}

  static int64_t bytes(const ScanSizes& s) {
    return 3 * Scratch::bytes_for(s.state_floats()) +
           Scratch::bytes_for(s.tiles * s.state_floats()) +
           2 * Scratch::bytes_for(kTokens * s.states) +
           2 * Scratch::bytes_for(s.states * kTileFloats) + 2 * Scratch::bytes_for(kReplayFloats) +
           8 * Scratch::bytes_for(kTileFloats);
  }

  void run(int64_t index) const {
    const ScanUnit unit = scan_unit(s_, index);
    read_exponents(s_, unit, in_.A, exponents_);
    read_states(s_, unit, in_.A.data, 0, A_);
    read_states(s_, unit, grads_.grad_last_state.data, unit.batch, g_);
    partials_.clear_unit(s_, index);
    make_states(unit);
    for (int64_t i = s_.tiles - 1; i >= 0; --i) sweep_tile(unit, index, i);
    write_states(s_, unit, g_, grads_.grad_initial_state.data, unit.batch);
  }

 private:
  float* state(int64_t tile) const { return states_ + tile * s_.state_floats(); }

  /// The state before each tile.
  void make_states(const ScanUnit& unit) const {
    read_states(s_, unit, in_.initial_state.data, unit.batch, state(0));
    for (int64_t i = 0; i + 1 < s_.tiles; ++i) {
      ScanTile tile;
      set_scan_tile(in_, s_, unit.batch, i, tile);
      load_keys<E>(in_.B, s_, unit, tile, B_);
      for (int64_t k = 0; k < s_.state_floats(); k += kLanes)
        store(state(i + 1) + k, load(state(i) + k));
      for_vectors(unit, [&](const ScanVector& v) {
        set_scan_steps<E>(in_, unit, tile, v, steps_, [](int64_t, vf) {});
        for (int64_t n = 0; n < s_.states; n += kStates) {
          const int64_t at = n * s_.block + v.column;
          scan_states(s_, tile, steps_, B_ + n, exponents_ + at, state(i + 1) + at,
                      [](int64_t, const vf*, const vf*, const vf*) {});
        }
      });
    }
  }

  void sweep_tile(const ScanUnit& unit, int64_t index, int64_t i) const {
    ScanTile tile;
    set_scan_tile(in_, s_, unit.batch, i, tile);
    load_keys<E>(in_.B, s_, unit, tile, B_);
    load_keys<E>(in_.C, s_, unit, tile, C_);
    for (int64_t k = 0; k < s_.states * kTileFloats; k += kLanes) {
      store(dB_ + k, vf{});
      store(dC_ + k, vf{});
    }
    for_vectors(unit, [&](const ScanVector& v) {
      open_vector(unit, tile, v);
      for (int64_t n = 0; n < s_.states; n += kStates) {
        replay(tile, n, v.column, state(i));
        sweep(tile, n, v.column, partials_.unit(s_, index).A);
      }
      close_vector(unit, tile, v, partials_.unit(s_, index));
    });
    float *dB = partials_.dB(s_, index, tile.begin), *dC = partials_.dC(s_, index, tile.begin);
    for (int64_t k = 0; k < tile.count * s_.states; ++k) {
      dB[k] = sum(load(dB_ + k * kLanes));
      dC[k] = sum(load(dC_ + k * kLanes));
    }
  }

  /// Steps, their slopes, and the gradient of y before the gate; sums over states begin.
  void open_vector(const ScanUnit& unit, const ScanTile& tile, const ScanVector& v) const {
    const vf skip = read_parameter(in_.D, v);
    set_scan_steps<E>(in_, unit, tile, v, steps_, [&](int64_t t, vf raw) {
      const int64_t at = t * kLanes;
      store(slope_ + at, in_.delta_softplus ? (raw > 20.0f ? splat(1) : sigmoid(raw)) : splat(1));
      vf dy = read_lanes<E>(grads_.grad_y, unit, tile.begin + t, v);
      if (in_.z.data != nullptr) dy *= silu(read_lanes<E>(in_.z, unit, tile.begin + t, v));
      store(dy_ + at, dy);
      store(y_ + at, skip * load(steps_.u + at));
      store(gB_ + at, vf{});
      store(gA_ + at, vf{});
    });
  }

  /// Keeps decays and states before each token, and adds C h to y. `state` is used up.
  void replay(const ScanTile& tile, int64_t n, int64_t column, float* state) const {
    const int64_t at = n * s_.block + column;
    const bool wants_y = grads_.grad_z.data != nullptr;
    scan_states(s_, tile, steps_, B_ + n, exponents_ + at, state + at,
                [&](int64_t t, const vf* decay, const vf* before, const vf* h) {
                  const float* queries = C_ + t * s_.states + n;
                  const int64_t kept = t * kStates * kLanes;
                  vf y{};
#pragma GCC unroll 4
                  for (int i = 0; i < kStates; ++i) {
                    store(decays_ + kept + i * kLanes, decay[i]);
                    store(befores_ + kept + i * kLanes, before[i]);
                    y += h[i] * queries[i];
                  }
                  if (wants_y) store(y_ + t * kLanes, load(y_ + t * kLanes) + y);
                });
  }

  /// Backwards over the tile: takes g_, the gradient of the state, from after it to before it.
  void sweep(const ScanTile& tile, int64_t n, int64_t column, float* dA) const {
    const int64_t at = n * s_.block + column;
    vf A[kStates], g[kStates], sum_A[kStates];
#pragma GCC unroll 4
    for (int i = 0; i < kStates; ++i) {
      A[i] = load(A_ + at + i * s_.block);
      g[i] = load(g_ + at + i * s_.block);
      sum_A[i] = vf{};
    }
    for (int64_t r = tile.runs - 1; r >= 0; --r) {
      for (int64_t t = tile.run[r].end - 1; t >= tile.run[r].begin; --t) {
        const vf delta = load(steps_.delta + t * kLanes), input = load(steps_.input + t * kLanes);
        const vf dy = load(dy_ + t * kLanes);
        const float *keys = B_ + t * s_.states + n, *queries = C_ + t * s_.states + n;
        float *dB = dB_ + (t * s_.states + n) * kLanes, *dC = dC_ + (t * s_.states + n) * kLanes;
        vf gB = load(gB_ + t * kLanes), gA = load(gA_ + t * kLanes);
#pragma GCC unroll 4
        for (int i = 0; i < kStates; ++i) {
          const vf decay = load(decays_ + (t * kStates + i) * kLanes);
          const vf kept = decay * load(befores_ + (t * kStates + i) * kLanes);
          store(dC + i * kLanes, load(dC + i * kLanes) + dy * (kept + input * keys[i]));
          g[i] += dy * queries[i];
          store(dB + i * kLanes, load(dB + i * kLanes) + input * g[i]);
          gB += g[i] * keys[i];
          const vf through_decay = g[i] * kept;
          gA += through_decay * A[i];
          sum_A[i] += through_decay * delta;
          g[i] *= decay;
        }
        store(gB_ + t * kLanes, gB);
        store(gA_ + t * kLanes, gA);
      }
      for (int i = 0; i < kStates && tile.run[r].fresh; ++i) g[i] = vf{};
    }
#pragma GCC unroll 4
    for (int i = 0; i < kStates; ++i) {
      float* total = dA + at + i * s_.block;
      store(total, load(total) + sum_A[i]);
      store(g_ + at + i * s_.block, g[i]);
    }
  }

  /// The gradients of the tile's u, delta and z, and the sums over its time.
  void close_vector(const ScanUnit& unit, const ScanTile& tile, const ScanVector& v,
                    const UnitSums& sums) const {
    const vf skip = read_parameter(in_.D, v);
    vf sum_D{}, sum_bias{};
    for (int64_t t = 0; t < tile.count; ++t) {
      const int64_t at = t * kLanes, token = tile.begin + t;
      vf du{}, d_delta{}, dz{};
      if (tile.real[t]) {
        const vf u = load(steps_.u + at), dy = load(dy_ + at), gB = load(gB_ + at);
        du = load(steps_.delta + at) * gB + skip * dy;
        d_delta = (u * gB + load(gA_ + at)) * load(slope_ + at);
        sum_D += dy * u;
        sum_bias += d_delta;
        if (grads_.grad_z.data != nullptr)
          dz = read_lanes<E>(grads_.grad_y, unit, token, v) * load(y_ + at) *
               silu_slope(read_lanes<E>(in_.z, unit, token, v));
      }
      write_lanes<E>(grads_.grad_u, unit, token, v, du);
      write_lanes(grads_.grad_delta, unit, token, v, d_delta);
      write_lanes<E>(grads_.grad_z, unit, token, v, dz);
    }
    store(sums.D + v.column, load(sums.D + v.column) + sum_D);
    store(sums.delta_bias + v.column, load(sums.delta_bias + v.column) + sum_bias);
  }

  const SelectiveScanInputs& in_;
  const SelectiveScanGradients& grads_;
  const ScanSizes& s_;
  const ScanPartials& partials_;
  float *exponents_, *A_, *g_;  // tiles (states, block)
  float* states_;               // one such tile before each tile of time
  float *B_, *C_;               // (kTokens, states)
  float *dB_, *dC_;             // (kTokens, states, kLanes)
  float *decays_, *befores_;    // (kTokens, kStates, kLanes)
  ScanSteps steps_;
  float *slope_, *dy_, *y_;  // (kTokens, kLanes)
  float *gB_, *gA_;          // sums over states of g B and of A g exp(Delta A) h_{t-1}
};

template <typename E>
void run_all(const SelectiveScanInputs& in, const SelectiveScanGradients& grads,
             const Parallel& parallel) {
  constexpr int64_t kMostBlocks = 16;  // of a group: a dB and dC is kept for each
  const ScanSizes sizes = scan_sizes(in, kMostBlocks);
  Scratch memory(ScanPartials::bytes(sizes));
  const ScanPartials partials(sizes, memory);
  const auto sweep = [&](int64_t begin, int64_t end) {
    Scratch scratch(Backward<E>::bytes(sizes));
    const Backward<E> backward(in, grads, sizes, partials, scratch);
    for (int64_t unit = begin; unit < end; ++unit) backward.run(unit);
  };
  parallel.run(sizes.units(), 1, sweep);
  const auto add = [&](int64_t begin, int64_t end) {
    add_unit_keys<E>(grads.grad_B, sizes, partials.dB_all, begin, end);
    add_unit_keys<E>(grads.grad_C, sizes, partials.dC_all, begin, end);
  };
  parallel.run(sizes.batch * sizes.length, 64, add);
  add_unit_sums(grads, sizes, partials);
}

}  // namespace

void selective_scan_backward(const SelectiveScanInputs& in, const SelectiveScanGradients& grads,
                             const Parallel& parallel) {
  in.u.dtype == DType::bf16 ? run_all<bf16>(in, grads, parallel)
                            : run_all<float>(in, grads, parallel);
}

}  // namespace adder::kernels::ADDER_ISA
