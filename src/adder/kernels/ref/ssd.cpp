#include "adder/kernels/ref/ssd.h"

#include "adder/kernels/ref/ssd_parts.h"

namespace adder::kernels::ref {

template <typename T>
void ssd(const SsdInputs& in, const SsdOutputs& out) {
  const auto [batch, length, heads, head_dim] = in.x.size;
  const int64_t width = in.B.size[3];
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t h = 0; h < heads; ++h) {
      std::vector<T> state = first_state<T>(in, b, h);
      for (int64_t t = 0; t < length; ++t) {
        step_state(in, b, t, h, state);
        for (int64_t p = 0; p < head_dim; ++p) {
          T y = 0;
          if (!is_padding(in, b, t)) {
            y = ungated(in, b, t, h, p, state);
            if (in.z.given()) y *= silu(get<T>(in.z, b, t, h, p));
          }
          set(out.y, y, b, t, h, p);
        }
      }
      for (int64_t p = 0; p < head_dim; ++p)
        for (int64_t n = 0; n < width; ++n) set(out.final_state, state[p * width + n], b, h, p, n);
    }
  }
}

template <typename T>
void ssd_update(const SsdUpdate& args) {
  const auto [batch, heads, head_dim] = args.x.size;
  const auto [rows, groups, width] = args.B.size;
  for (int64_t b = 0; b < batch; ++b) {
    const int64_t slot = args.state_indices.given() ? get<int64_t>(args.state_indices, b) : b;
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t g = h / (heads / groups);
      const T bias = args.dt_bias.given() ? get<T>(args.dt_bias, h) : T(0);
      const T delta = step_size<T>(args, get<T>(args.dt, b, h) + bias).value;
      const T decay = std::exp(delta * get<T>(args.A, h));
      for (int64_t p = 0; p < head_dim; ++p) {
        if (slot < 0) {
          set(args.y, T(0), b, h, p);
          continue;
        }
        const T x = get<T>(args.x, b, h, p);
        T y = skip_weight<T>(args.D, h, p) * x;
        for (int64_t n = 0; n < width; ++n) {
          const T s =
              decay * get<T>(args.state, slot, h, p, n) + delta * x * get<T>(args.B, b, g, n);
          set(args.state, s, slot, h, p, n);
          y += s * get<T>(args.C, b, g, n);
        }
        if (args.z.given()) y *= silu(get<T>(args.z, b, h, p));
        set(args.y, y, b, h, p);
      }
    }
  }
}

template void ssd<float>(const SsdInputs&, const SsdOutputs&);
template void ssd<double>(const SsdInputs&, const SsdOutputs&);
template void ssd_update<float>(const SsdUpdate&);
template void ssd_update<double>(const SsdUpdate&);

}  // namespace adder::kernels::ref
