// How the gradients of the scan that are sums over channels, rows or time are put together: a place
// for the sums of each unit of work, and their addition in order. Nothing here depends on the
// number of threads.
#pragma once

#include "adder/kernels/cpu/selective_scan_tile.h"

namespace adder::kernels::ADDER_ISA {

/// Sums over the time of one unit, lane by lane.
struct UnitSums {
  float* A;               // a tile (states, block)
  float *D, *delta_bias;  // (block)
};

struct ScanPartials {
  float *dB_all, *dC_all;  // (units, length, states): sums over the channels of a unit
  float* sums;             // (units + 1, state_floats + 2 block): the last is for totals

  static int64_t keys(const ScanSizes& s) { return s.units() * s.length * s.states; }
  static int64_t sums_of_unit(const ScanSizes& s) { return s.state_floats() + 2 * s.block; }
  static int64_t all_sums(const ScanSizes& s) { return (s.units() + 1) * sums_of_unit(s); }
  static int64_t bytes(const ScanSizes& s) {
    return 2 * Scratch::bytes_for(keys(s)) + Scratch::bytes_for(all_sums(s));
  }
  ScanPartials(const ScanSizes& s, Scratch& scratch)
      : dB_all(scratch.floats(keys(s))),
        dC_all(scratch.floats(keys(s))),
        sums(scratch.floats(all_sums(s))) {}

  float* dB(const ScanSizes& s, int64_t unit, int64_t time) const {
    return dB_all + (unit * s.length + time) * s.states;
  }
  float* dC(const ScanSizes& s, int64_t unit, int64_t time) const {
    return dC_all + (unit * s.length + time) * s.states;
  }
  UnitSums unit(const ScanSizes& s, int64_t unit) const {
    float* A = sums + unit * sums_of_unit(s);
    return {A, A + s.state_floats(), A + s.state_floats() + s.block};
  }
  void clear_unit(const ScanSizes& s, int64_t unit) const {
    for (int64_t i = 0; i < sums_of_unit(s); i += kLanes)
      store(sums + unit * sums_of_unit(s) + i, vf{});
  }
};

/// grad_B or grad_C of tokens [begin, end) of all rows: the units' parts in the order of channels.
template <typename E>
inline void add_unit_keys(const View<4>& to, const ScanSizes& s, const float* parts, int64_t begin,
                          int64_t end) {
  if (to.data == nullptr) return;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t batch = i / s.length, time = i % s.length;
    for (int64_t g = 0; g < s.groups; ++g) {
      const int64_t first = (batch * s.groups + g) * s.blocks;
      E* row =
          static_cast<E*>(to.data) + batch * to.stride[0] + time * to.stride[1] + g * to.stride[2];
      for (int64_t n = 0; n < s.width; ++n) {
        float total = 0;
        for (int64_t unit = first; unit < first + s.blocks; ++unit)
          total += parts[(unit * s.length + time) * s.states + n];
        narrow(total, row + n);
      }
    }
  }
}

/// A (channels) gradient; there may be none.
inline void write_channels(const View<1>& to, const ScanUnit& unit, const float* from) {
  for (int64_t c = 0; to.data != nullptr && c < unit.count; ++c)
    static_cast<float*>(to.data)[unit.first + c] = from[c];
}

/// grad_A, grad_D and grad_delta_bias: the sums of the units, in the order of rows.
inline void add_unit_sums(const SelectiveScanGradients& grads, const ScanSizes& s,
                          const ScanPartials& partials) {
  const int64_t units = s.groups * s.blocks, floats = ScanPartials::sums_of_unit(s);
  const UnitSums total = partials.unit(s, s.units());
  for (int64_t unit = 0; unit < units; ++unit) {
    partials.clear_unit(s, s.units());
    for (int64_t b = 0; b < s.batch; ++b) {
      const float* part = partials.unit(s, b * units + unit).A;
      for (int64_t i = 0; i < floats; i += kLanes)
        store(total.A + i, load(total.A + i) + load(part + i));
    }
    const ScanUnit where = scan_unit(s, unit);
    write_states(s, where, total.A, grads.grad_A.data, 0);
    write_channels(grads.grad_D, where, total.D);
    write_channels(grads.grad_delta_bias, where, total.delta_bias);
  }
}

}  // namespace adder::kernels::ADDER_ISA
