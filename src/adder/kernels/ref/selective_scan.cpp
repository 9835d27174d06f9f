#include "adder/kernels/ref/selective_scan.h"

#include "adder/kernels/ref/selective_scan_parts.h"

namespace adder::kernels::ref {

template <typename T>
void selective_scan(const SelectiveScanInputs& in, const SelectiveScanOutputs& out) {
  const auto [batch, length, channels] = in.u.size;
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t c = 0; c < channels; ++c) {
      std::vector<T> state = first_state<T>(in, b, c);
      for (int64_t t = 0; t < length; ++t) {
        step_state(in, b, t, c, state);
        T y = 0;
        if (!is_padding(in, b, t)) {
          y = ungated(in, b, t, c, state);
          if (in.z.given()) y *= silu(get<T>(in.z, b, t, c));
        }
        set(out.y, y, b, t, c);
      }
      for (int64_t n = 0; n < in.A.size[1]; ++n) set(out.last_state, state[n], b, c, n);
    }
  }
}

template <typename T>
void selective_scan_update(const SelectiveScanUpdate& args) {
  const auto [batch, channels] = args.u.size;
  const int64_t group_channels = channels / args.B.size[1];
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t slot = args.state_indices.given() ? get<int64_t>(args.state_indices, b) : b;
    for (int64_t c = 0; c < channels; ++c) {
      if (slot < 0) {
        set(args.y, T(0), b, c);
        continue;
      }
      const T bias = args.delta_bias.given() ? get<T>(args.delta_bias, c) : T(0);
      const T delta = scan_step(args.delta_softplus, get<T>(args.delta, b, c) + bias);
      const T u = get<T>(args.u, b, c);
      T y = args.D.given() ? get<T>(args.D, c) * u : T(0);
      for (int64_t n = 0; n < args.A.size[1]; ++n) {
        const T h = std::exp(delta * get<T>(args.A, c, n)) * get<T>(args.state, slot, c, n) +
                    delta * u * get<T>(args.B, b, c / group_channels, n);
        set(args.state, h, slot, c, n);
        y += h * get<T>(args.C, b, c / group_channels, n);
      }
      if (args.z.given()) y *= silu(get<T>(args.z, b, c));
      set(args.y, y, b, c);
    }
  }
}

template void selective_scan<float>(const SelectiveScanInputs&, const SelectiveScanOutputs&);
template void selective_scan<double>(const SelectiveScanInputs&, const SelectiveScanOutputs&);
template void selective_scan_update<float>(const SelectiveScanUpdate&);
template void selective_scan_update<double>(const SelectiveScanUpdate&);

}  // namespace adder::kernels::ref
