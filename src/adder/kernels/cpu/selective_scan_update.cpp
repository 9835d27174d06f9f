// One token. Lanes are the states of a channel, as they lie in memory; what a channel has once
// (step size, gate) is computed for a vector of channels at a time.
#include "adder/kernels/cpu/selective_scan.h"
#include "adder/kernels/cpu/selective_scan_tile.h"

namespace adder::kernels::ADDER_ISA {
namespace {

/// Channels whose step sizes and outputs are computed together.
struct Lanes {
  int64_t batch, slot;
  int64_t first, count;  // channels, at most kLanes
};

template <typename E>
ADDER_INLINE E* place(const View<2>& view, const Lanes& lanes) {
  return static_cast<E*>(view.data) + lanes.batch * view.stride[0] + lanes.first;
}

ADDER_INLINE vf read_delta(const SelectiveScanUpdate& args, const Lanes& lanes) {
  vf raw = args.delta.dtype == DType::bf16
               ? load_up_to(place<const bf16>(args.delta, lanes), lanes.count)
               : load_up_to(place<const float>(args.delta, lanes), lanes.count);
  if (args.delta_bias.data != nullptr)
    raw += load_up_to(static_cast<const float*>(args.delta_bias.data) + lanes.first, lanes.count);
  return args.delta_softplus ? softplus(raw) : raw;
}

/// C . h of one channel after h = exp(Delta A) h + input B.
ADDER_INLINE float advance(float delta, float input, const float* A, const float* B, const float* C,
                           int64_t width, float* state) {
  const float exponent = delta * 1.44269504088896341f;
  vf total{};
  for (int64_t n = 0; n < width; n += kLanes) {
    const int64_t left = width - n;
    const vf h = exp2(exponent * load_up_to(A + n, left)) * load_up_to(state + n, left) +
                 input * load(B + n);
    store_up_to(state + n, h, left);
    total += h * load(C + n);
  }
  return sum(total);
}

template <typename E>
void run_lanes(const SelectiveScanUpdate& args, const Lanes& lanes, const float* B,
               const float* C) {
  const int64_t width = args.A.size[1];
  const vf delta = read_delta(args, lanes);
  const vf u = load_up_to(place<const E>(args.u, lanes), lanes.count);
  alignas(64) float deltas[kLanes], inputs[kLanes], out[kLanes] = {};
  store(deltas, delta);
  store(inputs, delta * u);
  const float* A = static_cast<const float*>(args.A.data) + lanes.first * width;
  float* state =
      static_cast<float*>(args.state.data) + (lanes.slot * args.u.size[1] + lanes.first) * width;
  for (int64_t c = 0; c < lanes.count; ++c)
    out[c] = advance(deltas[c], inputs[c], A + c * width, B, C, width, state + c * width);
  vf y = load(out);
  if (args.D.data != nullptr)
    y += load_up_to(static_cast<const float*>(args.D.data) + lanes.first, lanes.count) * u;
  if (args.z.data != nullptr) y *= silu(load_up_to(place<const E>(args.z, lanes), lanes.count));
  store_up_to(place<E>(args.y, lanes), y, lanes.count);
}

/// B or C of one row and group, as floats; zeros up to whole vectors.
template <typename E>
void read_keys(const View<3>& view, int64_t batch, int64_t group, float* to) {
  const E* from =
      static_cast<const E*>(view.data) + batch * view.stride[0] + group * view.stride[1];
  for (int64_t n = 0; n < view.size[2]; n += kLanes)
    store(to + n, load_up_to(from + n, view.size[2] - n));
}

template <typename E>
void run_all(const SelectiveScanUpdate& args, const Parallel& parallel) {
  const int64_t channels = args.u.size[1], groups = args.B.size[1], width = args.A.size[1];
  const int64_t group_channels = channels / groups;
  const int64_t vectors = (group_channels + kLanes - 1) / kLanes;  // of a group
  const auto body = [&](int64_t begin, int64_t end) {
    const int64_t padded = round_up(width, kLanes);
    Scratch scratch(2 * Scratch::bytes_for(padded));
    float *B = scratch.floats(padded), *C = scratch.floats(padded);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t batch = i / vectors / groups, group = i / vectors % groups;
      const int64_t c = i % vectors * kLanes, left = group_channels - c;
      Lanes lanes{batch, batch, group * group_channels + c, left < kLanes ? left : kLanes};
      if (args.state_indices.data != nullptr)
        lanes.slot = static_cast<const int32_t*>(
            args.state_indices.data)[batch * args.state_indices.stride[0]];
      if (lanes.slot < 0) {
        store_up_to(place<E>(args.y, lanes), vf{}, lanes.count);
        continue;
      }
      if (i == begin || c == 0) {
        read_keys<E>(args.B, batch, group, B);
        read_keys<E>(args.C, batch, group, C);
      }
      run_lanes<E>(args, lanes, B, C);
    }
  };
  constexpr int64_t kGrainFloats = 1 << 14;  // of state: less is not worth another thread
  parallel.run(args.u.size[0] * groups * vectors, kGrainFloats / (kLanes * width) + 1, body);
}

}  // namespace

void selective_scan_update(const SelectiveScanUpdate& args, const Parallel& parallel) {
  args.u.dtype == DType::bf16 ? run_all<bf16>(args, parallel) : run_all<float>(args, parallel);
}

}  // namespace adder::kernels::ADDER_ISA
