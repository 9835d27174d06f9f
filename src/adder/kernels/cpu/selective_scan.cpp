// The forward scan, tile after tile (selective_scan_tile.h).
#include "adder/kernels/cpu/selective_scan.h"

#include "adder/kernels/cpu/selective_scan_tile.h"

namespace adder::kernels::ADDER_ISA {
namespace {

template <typename E>
class Forward {
 public:
  Forward(const SelectiveScanInputs& in, const SelectiveScanOutputs& out, const ScanSizes& sizes,
          Scratch& scratch)
      : in_(in),
        out_(out),
        s_(sizes),
        exponents_(scratch.floats(sizes.state_floats())),
        state_(scratch.floats(sizes.state_floats())),
        B_(scratch.floats(kTokens * sizes.states)),
        C_(scratch.floats(kTokens * sizes.states)),
        steps_{scratch.floats(kTileFloats), scratch.floats(kTileFloats),
               scratch.floats(kTileFloats)},
        y_(scratch.floats(kTileFloats)) {}

  static int64_t bytes(const ScanSizes& s) {
    return 2 * Scratch::bytes_for(s.state_floats()) + 2 * Scratch::bytes_for(kTokens * s.states) +
           4 * Scratch::bytes_for(kTileFloats);
  }

  void run(const ScanUnit& unit) const {
    read_exponents(s_, unit, in_.A, exponents_);
    read_states(s_, unit, in_.initial_state.data, unit.batch, state_);
    for (int64_t i = 0; i < s_.tiles; ++i) {
      ScanTile tile;
      set_scan_tile(in_, s_, unit.batch, i, tile);
      load_keys<E>(in_.B, s_, unit, tile, B_);
      load_keys<E>(in_.C, s_, unit, tile, C_);
      for_vectors(unit, [&](const ScanVector& v) { run_vector(unit, tile, v); });
    }
    write_states(s_, unit, state_, out_.last_state.data, unit.batch);
  }

 private:
  void run_vector(const ScanUnit& unit, const ScanTile& tile, const ScanVector& v) const {
    set_scan_steps<E>(in_, unit, tile, v, steps_, [](int64_t, vf) {});
    const vf skip = read_parameter(in_.D, v);
    for (int64_t t = 0; t < tile.count; ++t)
      store(y_ + t * kLanes, skip * load(steps_.u + t * kLanes));
    for (int64_t n = 0; n < s_.states; n += kStates) {
      const int64_t at = n * s_.block + v.column;
      scan_states(s_, tile, steps_, B_ + n, exponents_ + at, state_ + at,
                  [&](int64_t t, const vf*, const vf*, const vf* h) {
                    const float* queries = C_ + t * s_.states + n;
                    vf y = load(y_ + t * kLanes);
#pragma GCC unroll 4
                    for (int i = 0; i < kStates; ++i) y += h[i] * queries[i];
                    store(y_ + t * kLanes, y);
                  });
    }
    for (int64_t t = 0; t < tile.count; ++t) {
      vf y{};
      if (tile.real[t]) {
        y = load(y_ + t * kLanes);
        if (in_.z.data != nullptr) y *= silu(read_lanes<E>(in_.z, unit, tile.begin + t, v));
      }
      write_lanes<E>(out_.y, unit, tile.begin + t, v, y);
    }
  }

  const SelectiveScanInputs& in_;
  const SelectiveScanOutputs& out_;
  const ScanSizes& s_;
  float *exponents_, *state_;  // tiles (states, block)
  float *B_, *C_;              // (kTokens, states)
  ScanSteps steps_;
  float* y_;  // (kTokens, kLanes)
};

template <typename E>
void run_all(const SelectiveScanInputs& in, const SelectiveScanOutputs& out,
             const Parallel& parallel) {
  constexpr int64_t kAnyNumber = int64_t{1} << 40;  // of units: nothing is kept for each
  const ScanSizes sizes = scan_sizes(in, kAnyNumber);
  const auto body = [&](int64_t begin, int64_t end) {
    Scratch scratch(Forward<E>::bytes(sizes));
    const Forward<E> forward(in, out, sizes, scratch);
    for (int64_t unit = begin; unit < end; ++unit) forward.run(scan_unit(sizes, unit));
  };
  parallel.run(sizes.units(), 1, body);
}

}  // namespace

void selective_scan(const SelectiveScanInputs& in, const SelectiveScanOutputs& out,
                    const Parallel& parallel) {
  in.u.dtype == DType::bf16 ? run_all<bf16>(in, out, parallel) : run_all<float>(in, out, parallel);
}

}  // namespace adder::kernels::ADDER_ISA
