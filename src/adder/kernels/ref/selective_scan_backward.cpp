// With g_t the gradient of h_t of one channel, backwards in time (mamba-core 1.3):
//
//   g_t    = exp(Delta_{t+1} A) g_{t+1} + dy_t C_t
//   du_t   = Delta_t g_t . B_t + D dy_t          dB_t = sum over channels of Delta_t u_t g_t
//   dDelta = u_t g_t . B_t + sum_n A g_t q_t     dC_t = sum over channels of dy_t h_t
//   dA     = sum over t of Delta_t g_t q_t       where q_t = exp(Delta_t A) h_{t-1}
#include "adder/kernels/ref/selective_scan.h"
#include "adder/kernels/ref/selective_scan_parts.h"

namespace adder::kernels::ref {
namespace {

/// Sums over time, rows or channels.
template <typename T>
struct Sums {
  std::vector<T> A, D, delta_bias;  // (channels, state), (channels), (channels)
  std::vector<T> B, C;              // (length, state) of one row and group
};

/// One real token: from g_t without its own term (in `g`) to exp(Delta_t A) g_t (in `g`).
template <typename T>
void step_back(const SelectiveScanInputs& in, const SelectiveScanGradients& grads, int64_t b,
               int64_t t, int64_t c, const std::vector<T>& before, const std::vector<T>& after,
               std::vector<T>& g, Sums<T>& sums) {
  const int64_t width = in.A.size[1], group = group_of(in, c);
  const T raw = raw_step<T>(in, b, t, c), delta = scan_step(in.delta_softplus, raw);
  const T u = get<T>(in.u, b, t, c);
  const bool first = begins_document(in, b, t);
  T dy = get<T>(grads.grad_y, b, t, c);
  if (in.z.given()) {
    const T z = get<T>(in.z, b, t, c);
    set(grads.grad_z, dy * ungated(in, b, t, c, after) * silu_slope(z), b, t, c);
    dy *= silu(z);
  }
  T gB = 0, d_delta = 0;
  for (int64_t n = 0; n < width; ++n) {
    const T A = get<T>(in.A, c, n), decay = std::exp(delta * A);
    g[n] += dy * get<T>(in.C, b, t, group, n);
    gB += g[n] * get<T>(in.B, b, t, group, n);
    sums.B[t * width + n] += delta * u * g[n];
    sums.C[t * width + n] += dy * after[n];
    if (!first) {
      d_delta += A * g[n] * decay * before[n];
      sums.A[c * width + n] += delta * g[n] * decay * before[n];
    }
    g[n] = first ? T(0) : decay * g[n];
  }
  d_delta = (d_delta + u * gB) * scan_step_slope(in.delta_softplus, raw);
  sums.D[c] += dy * u;
  sums.delta_bias[c] += d_delta;
  set(grads.grad_delta, d_delta, b, t, c);
  set(grads.grad_u, delta * gB + (in.D.given() ? get<T>(in.D, c) * dy : T(0)), b, t, c);
}

template <typename T>
void backward_channel(const SelectiveScanInputs& in, const SelectiveScanGradients& grads, int64_t b,
                      int64_t c, Sums<T>& sums) {
  const int64_t length = in.u.size[1], width = in.A.size[1];
  std::vector<std::vector<T>> states = {first_state<T>(in, b, c)};  // before token t
  for (int64_t t = 0; t < length; ++t) {
    states.push_back(states.back());
    step_state(in, b, t, c, states.back());
  }
  std::vector<T> g(width, T(0));
  for (int64_t n = 0; n < width && grads.grad_last_state.given(); ++n)
    g[n] = get<T>(grads.grad_last_state, b, c, n);
  for (int64_t t = length - 1; t >= 0; --t) {
    if (is_padding(in, b, t)) {
      for (const View<3>& view : {grads.grad_u, grads.grad_delta, grads.grad_z})
        set(view, T(0), b, t, c);
    } else {
      step_back(in, grads, b, t, c, states[t], states[t + 1], g, sums);
    }
  }
  for (int64_t n = 0; n < width; ++n) set(grads.grad_initial_state, g[n], b, c, n);
}

}  // namespace

template <typename T>
void selective_scan_backward(const SelectiveScanInputs& in, const SelectiveScanGradients& grads) {
  const auto [batch, length, channels] = in.u.size;
  const int64_t groups = in.B.size[2], width = in.A.size[1], group_channels = channels / groups;
  const std::vector<T> no_channels(channels, T(0)), no_tokens(length * width, T(0));
  Sums<T> sums{std::vector<T>(channels * width, T(0)), no_channels, no_channels, {}, {}};
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t g = 0; g < groups; ++g) {
      sums.B = sums.C = no_tokens;
      for (int64_t c = g * group_channels; c < (g + 1) * group_channels; ++c)
        backward_channel(in, grads, b, c, sums);
      for (int64_t t = 0; t < length; ++t) {
        for (int64_t n = 0; n < width; ++n) {
          set(grads.grad_B, sums.B[t * width + n], b, t, g, n);
          set(grads.grad_C, sums.C[t * width + n], b, t, g, n);
        }
      }
    }
  }
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t n = 0; n < width; ++n) set(grads.grad_A, sums.A[c * width + n], c, n);
    set(grads.grad_D, sums.D[c], c);
    set(grads.grad_delta_bias, sums.delta_bias[c], c);
  }
}

template void selective_scan_backward<float>(const SelectiveScanInputs&,
                                             const SelectiveScanGradients&);
template void selective_scan_backward<double>(const SelectiveScanInputs&,
                                              const SelectiveScanGradients&);

}  // namespace adder::kernels::ref
