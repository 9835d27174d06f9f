// With G_t the gradient of S_t, backwards in time:
//
//   G_t    = decay_{t+1} G_{t+1} + dy_t (outer) C_t        dC_t = S_t^T dy_t
//   dx_t   = Delta_t G_t B_t + D dy_t                      dB_t = Delta_t G_t^T x_t
//   dDelta = <x_t, G_t B_t> + A decay_t <G_t, S_{t-1}>     dA   = sum_t Delta_t decay_t <G_t,
//   S_{t-1}>
#include "adder/kernels/ref/ssd.h"
#include "adder/kernels/ref/ssd_parts.h"

namespace adder::kernels::ref {
namespace {

/// The states of one (row, head): kept before each chunk, made again inside one.
template <typename T>
class States {
 public:
  States(const SsdInputs& in, int64_t b, int64_t h) : in_(in), b_(b), h_(h) {
    std::vector<T> state = first_state<T>(in, b, h);
    for (int64_t t = 0; t < in.x.size[1]; ++t) {
      if (t % in.chunk_size == 0) before_chunk_.push_back(state);
      step_state(in, b, t, h, state);
    }
  }

  /// S_{t-1}, as token t finds it: before it is dropped where a document begins. `t` must not rise.
  const std::vector<T>& before(int64_t t) { return open(t)[t % in_.chunk_size]; }
  const std::vector<T>& after(int64_t t) { return open(t)[t % in_.chunk_size + 1]; }

 private:
  const std::vector<std::vector<T>>& open(int64_t t) {
    const int64_t chunk = t / in_.chunk_size, begin = chunk * in_.chunk_size;
    if (chunk == open_chunk_) return in_chunk_;
    in_chunk_.assign(1, before_chunk_[chunk]);
    for (int64_t u = begin; u < std::min(begin + in_.chunk_size, in_.x.size[1]); ++u) {
      in_chunk_.push_back(in_chunk_.back());
      step_state(in_, b_, u, h_, in_chunk_.back());
    }
    open_chunk_ = chunk;
    return in_chunk_;
  }

  const SsdInputs& in_;
  int64_t b_, h_, open_chunk_ = -1;
  std::vector<std::vector<T>> before_chunk_, in_chunk_;
};

/// Sums over time, rows or heads.
template <typename T>
struct Sums {
  std::vector<T> A, D, dt_bias;  // (heads), (heads, head_dim), (heads)
  std::vector<T> B, C;           // (length, state) of one row and group
};

/// Gradient of y before the gate; sets that of z.
template <typename T>
std::vector<T> through_gate(const SsdInputs& in, const SsdGradients& grads, int64_t b, int64_t t,
                            int64_t h, const std::vector<T>& state) {
  std::vector<T> dy(in.x.size[3]);
  for (int64_t p = 0; p < in.x.size[3]; ++p) {
    dy[p] = get<T>(grads.grad_y, b, t, h, p);
    if (!in.z.given()) continue;
    const T z = get<T>(in.z, b, t, h, p);
    set(grads.grad_z, dy[p] * ungated(in, b, t, h, p, state) * silu_slope(z), b, t, h, p);
    dy[p] *= silu(z);
  }
  return dy;
}

template <typename T>
void no_gradient(const SsdInputs& in, const SsdGradients& grads, int64_t b, int64_t t, int64_t h) {
  set(grads.grad_dt, T(0), b, t, h);
  for (int64_t p = 0; p < in.x.size[3]; ++p) {
    set(grads.grad_x, T(0), b, t, h, p);
    set(grads.grad_z, T(0), b, t, h, p);
  }
}

/// One token: from G_t without its own term (in `G`) to decay_t G_t (in `G`).
template <typename T>
void step_back(const SsdInputs& in, const SsdGradients& grads, int64_t b, int64_t t, int64_t h,
               States<T>& states, std::vector<T>& G, Sums<T>& sums) {
  const int64_t head_dim = in.x.size[3], width = in.B.size[3],
                g = h / (in.x.size[2] / in.B.size[2]);
  const StepSize<T> delta = step_size<T>(in, b, t, h);
  const T A = get<T>(in.A, h), decay = std::exp(delta.value * A);
  const bool first = begins_document(in, b, t);
  const std::vector<T>&before = states.before(t), &after = states.after(t);
  const std::vector<T> dy = through_gate(in, grads, b, t, h, after);
  T d_delta = 0, d_decay = 0;
  for (int64_t p = 0; p < head_dim; ++p) {
    const T x = get<T>(in.x, b, t, h, p);
    T GB = 0;
    for (int64_t n = 0; n < width; ++n) {
      T& gradient = G[p * width + n];
      gradient += dy[p] * get<T>(in.C, b, t, g, n);
      GB += gradient * get<T>(in.B, b, t, g, n);
      sums.B[t * width + n] += delta.value * gradient * x;
      sums.C[t * width + n] += after[p * width + n] * dy[p];
      if (!first) d_decay += gradient * before[p * width + n];
      gradient = first ? T(0) : decay * gradient;
    }
    d_delta += x * GB;
    sums.D[h * head_dim + p] += dy[p] * x;
    set(grads.grad_x, delta.value * GB + skip_weight<T>(in.D, h, p) * dy[p], b, t, h, p);
  }
  d_delta += A * decay * d_decay;
  sums.A[h] += delta.value * decay * d_decay;
  sums.dt_bias[h] += d_delta * delta.slope;
  set(grads.grad_dt, d_delta * delta.slope, b, t, h);
}

template <typename T>
void backward_head(const SsdInputs& in, const SsdGradients& grads, int64_t b, int64_t h,
                   Sums<T>& sums) {
  const int64_t head_dim = in.x.size[3], width = in.B.size[3];
  States<T> states(in, b, h);
  std::vector<T> G(head_dim * width, T(0));
  for (int64_t p = 0; p < head_dim && grads.grad_final_state.given(); ++p)
    for (int64_t n = 0; n < width; ++n)
      G[p * width + n] = get<T>(grads.grad_final_state, b, h, p, n);
  for (int64_t t = in.x.size[1] - 1; t >= 0; --t) {
    if (is_padding(in, b, t)) {
      no_gradient<T>(in, grads, b, t, h);
    } else {
      step_back(in, grads, b, t, h, states, G, sums);
    }
  }
  for (int64_t p = 0; p < head_dim; ++p)
    for (int64_t n = 0; n < width; ++n) set(grads.grad_initial_state, G[p * width + n], b, h, p, n);
}

template <typename T>
void write_D(const SsdInputs& in, const SsdGradients& grads, const std::vector<T>& sums) {
  const int64_t heads = in.x.size[2], head_dim = in.x.size[3];
  if (!in.D.given()) return;
  for (int64_t h = 0; h < heads; ++h) {
    T whole = 0;
    for (int64_t p = 0; p < head_dim; ++p) {
      whole += sums[h * head_dim + p];
      if (in.D.size[1] != 1) set(grads.grad_D, sums[h * head_dim + p], h, p);
    }
    if (in.D.size[1] == 1) set(grads.grad_D, whole, h, 0);
  }
}

}  // namespace

template <typename T>
void ssd_backward(const SsdInputs& in, const SsdGradients& grads) {
  const auto [batch, length, heads, head_dim] = in.x.size;
  const int64_t groups = in.B.size[2], width = in.B.size[3], heads_a_group = heads / groups;
  const std::vector<T> no_heads(heads, T(0)), no_tokens(length * width, T(0));
  Sums<T> sums{no_heads, std::vector<T>(heads * head_dim, T(0)), no_heads, no_tokens, no_tokens};
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t g = 0; g < groups; ++g) {
      sums.B = sums.C = no_tokens;
      for (int64_t h = g * heads_a_group; h < (g + 1) * heads_a_group; ++h)
        backward_head(in, grads, b, h, sums);
      for (int64_t t = 0; t < length; ++t) {
        for (int64_t n = 0; n < width; ++n) {
          set(grads.grad_B, sums.B[t * width + n], b, t, g, n);
          set(grads.grad_C, sums.C[t * width + n], b, t, g, n);
        }
      }
    }
  }
  for (int64_t h = 0; h < heads; ++h) {
    set(grads.grad_A, sums.A[h], h);
    set(grads.grad_dt_bias, sums.dt_bias[h], h);
  }
  write_D(in, grads, sums.D);
}

template void ssd_backward<float>(const SsdInputs&, const SsdGradients&);
template void ssd_backward<double>(const SsdInputs&, const SsdGradients&);

}  // namespace adder::kernels::ref
